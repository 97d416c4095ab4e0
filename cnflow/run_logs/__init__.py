"""Reads what tasks and blocks have printed, from the logs in a run's folder, while the run goes on and afterwards.

::

    worker ──lines with their task──> manager ──stderr, or the engine's attach──> RUN/LABEL/block-0.log
                                                                                   │ grows, and is rotated
    cnflow logs, Config(stream_logs=True) <──GrowingFile── files ── lines ─────────┘
"""

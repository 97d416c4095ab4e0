"""Runs the workers of one node. First process in the container; never unpickles what it carries.

::

    interchange ══ZeroMQ══ loop ──bytes──> state: every decision, no I/O ──actions──> loop ──pipes──> workers/process
                            │
                            └── shutdown_signals: SIGTERM, SIGINT, the block's end ──> shutdown

Written for Python 3.9: it runs from the capsule, on the image's own Python.
"""

"""Log of the interchange, which never waits for its file: that may be on a file system that hangs."""

from __future__ import annotations

import logging

from cnflow.output_queue import OutputHandler, OutputQueue


def start_logging(descriptor: int, limit: int) -> OutputHandler:
    """Make the root logger write to *descriptor*, a file of *limit* bytes; the caller closes the handler at the end."""
    handler = OutputHandler(OutputQueue(descriptor, limit=limit))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    return handler

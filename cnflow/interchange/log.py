"""Log of the interchange, which never waits for its file: that may be on a file system that hangs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cnflow.log_lines import JSONLog
from cnflow.output_queue import OutputHandler, OutputQueue

if TYPE_CHECKING:
    from collections.abc import Mapping


def start_logging(descriptor: int, limit: int, ids: Mapping[str, str]) -> OutputHandler:
    """Make the root logger write to *descriptor*; the caller closes the handler at the end.

    Args:
        descriptor: of a file.
        limit: its bytes; 0 is no limit.
        ids: fields of each line, which is JSON then; empty for lines of text.
    """
    output = OutputQueue(descriptor, limit=limit)
    handler = OutputHandler(output)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    if ids:
        log = JSONLog(ids)
        handler.setFormatter(log.formatter())
        output.line_on_dropped = log.dropped
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    return handler

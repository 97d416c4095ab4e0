"""Where cnflow's log lines go. The library itself configures nothing: these are for the user to call."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import TextIO

DEFAULT_FORMAT = "%(asctime)s.%(msecs)03d %(name)s:%(lineno)d %(processName)s %(threadName)s %(levelname)s %(message)s"


def set_stream_logger(
    name: str = "cnflow",
    level: int = logging.DEBUG,
    format_string: str | None = None,
    stream: TextIO | None = None,
) -> Callable[[], None]:
    """Write the log lines of *name*, from *level* on, to *stream* (None is stderr).

    Returns:
        A function that undoes it.
    """
    return _attach(name, level, format_string, logging.StreamHandler(stream or sys.stderr))


def set_file_logger(
    filename: str | os.PathLike[str],
    name: str = "cnflow",
    level: int = logging.DEBUG,
    format_string: str | None = None,
) -> Callable[[], None]:
    """Append the log lines of *name*, from *level* on, to a file, whose folder is made if need be.

    Returns:
        A function that undoes it and closes the file.

    Raises:
        OSError: the file cannot be opened.
    """
    path = Path(filename)
    path.parent.mkdir(parents=True, exist_ok=True)
    return _attach(name, level, format_string, logging.FileHandler(path))


def _attach(name: str, level: int, format_string: str | None, handler: logging.Handler) -> Callable[[], None]:
    logger = logging.getLogger(name)
    before = logger.level
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter(format_string or DEFAULT_FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    if logger.getEffectiveLevel() > level:
        logger.setLevel(level)

    def undo() -> None:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(before)

    return undo

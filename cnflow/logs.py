"""Destinations of cnflow's log lines. None is set up by default: the user calls a function, or sets a `Config`."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

from cnflow.config.logging import DATES, FORMAT, FileLogging, JSONLogging, LogConfig, NoopLogging
from cnflow.config.paths import path_argument
from cnflow.config.switches import settings_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path
    from typing import TextIO

    from cnflow.config import Config

__all__ = ["FileLogging", "JSONLogging", "LogConfig", "NoopLogging", "set_file_logger", "set_stream_logger", "start"]

_lock = threading.Lock()
_levels: dict[str, tuple[int, list[int]]] = {}
"""Logger with handlers of cnflow -> its level before the first of them, and the levels of the handlers."""


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
    return _attach(name, level, _with_format(logging.StreamHandler(stream or sys.stderr), format_string))


def set_file_logger(
    filename: str | os.PathLike[str],
    name: str = "cnflow",
    level: int = logging.DEBUG,
    format_string: str | None = None,
) -> Callable[[], None]:
    """Append the log lines of *name*, from *level* on, to a file; its folder is made if it is missing.

    Returns:
        A function that undoes it and closes the file.

    Raises:
        OSError: the file cannot be opened.
    """
    path = path_argument(filename, "filename")
    path.parent.mkdir(parents=True, exist_ok=True)
    return _attach(name, level, _with_format(logging.FileHandler(path, encoding="utf-8"), format_string))


def start(destination: LogConfig | bool, run_dir: Path, size: int | None = None) -> Callable[[], None]:  # noqa: FBT001 - the value of Config.initialize_logging
    """Write a run's log to *destination*, of which True is `FileLogging` and False none.

    Args:
        destination: value of `Config.initialize_logging`.
        run_dir: folder of the run.
        size: bytes of a log file, and its older part, of a destination that has no size of its own; None is no limit.

    Returns:
        A function that ends it.

    Raises:
        OSError: its file cannot be opened.
    """
    config = destination if isinstance(destination, LogConfig) else FileLogging() if destination else NoopLogging()
    if isinstance(config, (FileLogging, JSONLogging)) and config.size is None:
        config = config.model_copy(update={"size": size})
    handler = config.handler(run_dir)
    return _do_nothing if handler is None else _attach(config.logger, config.level, handler)


def start_run_log(config: Config, run_dir: Path) -> Callable[[], None]:
    """Write the driver's log of a run as *config* has it, and return a function that ends it.

    `Config.initialize_logging` comes first; without it, `Config.logs` writes one of its own form and level.

    Raises:
        OSError: its file cannot be opened.
    """
    destination: LogConfig | bool = config.initialize_logging
    files = settings_of(config.logs)
    if destination is False and files is not None:
        kind = JSONLogging if files.format == "json" else FileLogging
        destination = kind(level=files.level)
    return start(destination, run_dir, size_of(config))


def size_of(config: Config) -> int | None:
    """Return the bytes of each log of a run and its older part; None is no limit."""
    files = settings_of(config.logs)
    return config.log_size if files is None or files.size is None else files.size


def are_json(config: Config) -> bool:
    """Return whether the logs of the run's processes are JSON lines."""
    files = settings_of(config.logs)
    return files is not None and files.format == "json"


def _do_nothing() -> None:
    """End of a log that was not started."""


def _with_format(handler: logging.Handler, format_string: str | None) -> logging.Handler:
    handler.setFormatter(logging.Formatter(format_string or FORMAT, datefmt=DATES))
    return handler


def _attach(name: str, level: int, handler: logging.Handler) -> Callable[[], None]:
    """Send *handler* the lines of logger *name*, from *level* on; the logger gets the lowest level of its handlers.

    Returns:
        A function that undoes it, closes the handler, and leaves other handlers as they are.
    """
    logger = logging.getLogger(name)
    handler.setLevel(level)
    with _lock:
        before, levels = _levels.setdefault(name, (logger.level, []))
        levels.append(level)
        if logger.getEffectiveLevel() > level:
            logger.setLevel(level)
        logger.addHandler(handler)

    def undo() -> None:
        with _lock:
            if handler not in logger.handlers:
                return
            logger.removeHandler(handler)
            levels.remove(level)
            logger.setLevel(before)
            if not levels:
                del _levels[name]
            elif logger.getEffectiveLevel() > min(levels):
                logger.setLevel(min(levels))
        handler.close()

    return undo

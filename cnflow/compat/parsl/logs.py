"""Parsl's loggers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cnflow import logs
from cnflow.config.logging import DATES, FORMAT, FileLogging, JSONLines, JSONLogging

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class ParslFileLogging(FileLogging):
    """`cnflow.logs.FileLogging` into ``parsl.log``, which Parsl's scripts read."""

    format_string: str = FORMAT

    def handler(self, run_dir: Path) -> logging.Handler:
        """See `cnflow.config.logging.LogConfig.handler`."""
        handler = logging.FileHandler(run_dir / "parsl.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter(self.format_string, datefmt=DATES))
        return handler


class ParslJSONLogging(JSONLogging):
    """`cnflow.logs.JSONLogging` into ``parsl.jsonlog``, with the lines of every logger as in Parsl."""

    logger: str = ""

    def handler(self, run_dir: Path) -> logging.Handler:
        """See `cnflow.config.logging.LogConfig.handler`."""
        handler = logging.FileHandler(run_dir / "parsl.jsonlog", encoding="utf-8")
        handler.setFormatter(JSONLines())
        return handler


def set_stream_logger(name: str = "parsl", level: int = 10, **more: Any) -> Callable[[], None]:  # noqa: ANN401
    """Call `cnflow.set_stream_logger`; for a logger of Parsl, also for cnflow's of that name."""
    return _undo_all([logs.set_stream_logger(each, level, **more) for each in _loggers_for(name)])


def set_file_logger(filename: str, name: str = "parsl", level: int = 10, **more: Any) -> Callable[[], None]:  # noqa: ANN401
    """Call `cnflow.set_file_logger`; for a logger of Parsl, also for cnflow's of that name."""
    return _undo_all([logs.set_file_logger(filename, each, level, **more) for each in _loggers_for(name)])


def _loggers_for(name: str) -> list[str]:
    first, dot, rest = name.partition(".")
    return [name, f"cnflow{dot}{rest}"] if first == "parsl" else [name]


def _undo_all(undos: list[Callable[[], None]]) -> Callable[[], None]:
    def undo() -> None:
        for each in undos:
            each()

    return undo

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
    """`cnflow.logs.FileLogging` into the file that Parsl's scripts look for, ``parsl.log``."""

    format_string: str = FORMAT

    def handler(self, run_dir: Path) -> logging.Handler:
        """See `cnflow.config.logging.LogConfig.handler`."""
        made = logging.FileHandler(run_dir / "parsl.log", encoding="utf-8")
        made.setFormatter(logging.Formatter(self.format_string, datefmt=DATES))
        return made


class ParslJSONLogging(JSONLogging):
    """`cnflow.logs.JSONLogging` into ``parsl.jsonlog``; like Parsl's it takes the lines of every logger."""

    logger: str = ""

    def handler(self, run_dir: Path) -> logging.Handler:
        """See `cnflow.config.logging.LogConfig.handler`."""
        made = logging.FileHandler(run_dir / "parsl.jsonlog", encoding="utf-8")
        made.setFormatter(JSONLines())
        return made


def set_stream_logger(name: str = "parsl", level: int = 10, **more: Any) -> Callable[[], None]:  # noqa: ANN401
    """`cnflow.set_stream_logger`; what is asked of Parsl's loggers is done for cnflow's, too."""
    return _all([logs.set_stream_logger(each, level, **more) for each in _both(name)])


def set_file_logger(filename: str, name: str = "parsl", level: int = 10, **more: Any) -> Callable[[], None]:  # noqa: ANN401
    """`cnflow.set_file_logger`; what is asked of Parsl's loggers is done for cnflow's, too."""
    return _all([logs.set_file_logger(filename, each, level, **more) for each in _both(name)])


def _both(name: str) -> list[str]:
    first, dot, rest = name.partition(".")
    return [name, f"cnflow{dot}{rest}"] if first == "parsl" else [name]


def _all(calls: list[Callable[[], None]]) -> Callable[[], None]:
    def undo() -> None:
        for call in calls:
            call()

    return undo

"""Destinations of a run's log, and the formats of its lines."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from cnflow.config.base import Settings
from cnflow.config.quantities import Bytes
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "%(asctime)s.%(msecs)03d %(name)s:%(lineno)d %(processName)s %(threadName)s %(levelname)s %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"


def parse_level(value: object) -> object:
    """Return the number of a level that is given by its name, in either case; other values as they are."""
    if not isinstance(value, str):
        return value
    known = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
    if value.upper() not in known:
        raise ValueError(f"no level is called {value!r}.{did_you_mean(value.upper(), known)} Known: {', '.join(known)}")
    return known[value.upper()]


class LogConfig(Settings, ABC):
    """Destination of a run's log. Subclass it for one of your own, and pass an object of it as `initialize_logging`.

    Only the driver's lines go there; interchange and managers log to the folder of their executor.
    """

    kind: str
    level: Annotated[int, BeforeValidator(parse_level)] = logging.INFO
    """Lines of lower levels are left out; a number as in the module `logging`, or its name, such as ``"DEBUG"``."""

    logger: str = "cnflow"
    """Name of the logger whose lines, and those of all loggers below it, are written; empty is every line."""

    @abstractmethod
    def handler(self, run_dir: Path) -> logging.Handler | None:
        """Make the handler that writes the lines of one run, of which *run_dir* is the folder; None writes none.

        Called once for each run, before anything is started. Its `level` is set afterwards; it is closed when the run
        has ended.

        Raises:
            OSError: its file cannot be opened.
        """


def _rotated(path: Path, size: int | None) -> logging.Handler:
    """Return a handler that appends to a file of *size* bytes with its older part; None is no limit."""
    from logging.handlers import RotatingFileHandler  # noqa: PLC0415 - imports a server

    return RotatingFileHandler(path, encoding="utf-8", maxBytes=(size or 0) // 2, backupCount=1)


class FileLogging(LogConfig):
    """Lines of text in ``cnflow.log`` in the run's folder."""

    kind: Literal["file"] = "file"
    size: Bytes | None = Field(default=None, ge=0)
    """Bytes of the file and its older part, ``cnflow.log.1``; a text with a unit, such as ``"10MB"``. 0 is no limit;
    None is `Config.log_size`."""

    format_string: str = FORMAT
    """Format of a line, as `logging.Formatter` takes it."""

    def handler(self, run_dir: Path) -> logging.Handler:
        """See `LogConfig.handler`."""
        made = _rotated(run_dir / "cnflow.log", self.size)
        made.setFormatter(logging.Formatter(self.format_string, datefmt=DATES))
        return made


class JSONLogging(LogConfig):
    """One JSON object per line in ``cnflow.jsonl`` in the run's folder, for programs to read."""

    kind: Literal["json"] = "json"
    size: Bytes | None = Field(default=None, ge=0)
    """Bytes of the file and its older part, ``cnflow.jsonl.1``, as for `FileLogging`."""

    def handler(self, run_dir: Path) -> logging.Handler:
        """See `LogConfig.handler`."""
        made = _rotated(run_dir / "cnflow.jsonl", self.size)
        made.setFormatter(JSONLines())
        return made


class NoopLogging(LogConfig):
    """No log, as False, where an object is needed."""

    kind: Literal["none"] = "none"

    def handler(self, run_dir: Path) -> None:
        """See `LogConfig.handler`."""


class JSONLines(logging.Formatter):
    """A record as one line of JSON.

    Its fields are ``timestamp`` (UTC, ISO 8601), ``level``, ``name`` (the logger's), ``line``, ``message``,
    ``process``, ``thread``, with an exception ``exception``; and every field whose name begins with ``cnflow.``, as
    given by ``logger.info(..., extra={"cnflow.task_id": 7})``. A value that JSON cannot hold is written as its
    ``repr``.
    """

    EXTRA: ClassVar[str] = "cnflow."

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "name": record.name,
            "line": record.lineno,
            "message": record.getMessage(),
            "process": record.process,
            "thread": record.threadName,
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        extras = {name: value for name, value in vars(record).items() if name.startswith(self.EXTRA)}
        return json.dumps({**fields, **{name: _json_value(value) for name, value in extras.items()}})


def _json_value(value: object) -> object:
    """*value*, or its ``repr`` where JSON cannot hold it or a part of it."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return repr(value)
    return value

"""Settings of where a run's log goes, and what each makes of its lines."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from cnflow.config.base import Settings
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "%(asctime)s.%(msecs)03d %(name)s:%(lineno)d %(processName)s %(threadName)s %(levelname)s %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"


def _level_of(value: object) -> object:
    """The number of a level that is given by its name, in either case."""
    if not isinstance(value, str):
        return value
    known = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
    if value.upper() not in known:
        raise ValueError(f"no level is called {value!r}.{did_you_mean(value.upper(), known)} Known: {', '.join(known)}")
    return known[value.upper()]


class LogConfig(Settings, ABC):
    """Where the log of a run goes. Subclass it for a way of your own, and pass an object of it as `initialize_logging`.

    Only the driver's lines go there; what interchange and managers say is in the folder of their executor.
    """

    kind: str
    level: Annotated[int, BeforeValidator(_level_of)] = logging.INFO
    """Lines of lower levels are left out; a number as in the module `logging`, or its name, such as ``"DEBUG"``."""

    logger: str = "cnflow"
    """Whose lines: those of this logger and of all below it; empty is every line of the process."""

    @abstractmethod
    def handler(self, run_dir: Path) -> logging.Handler | None:
        """What writes the lines of one run, of which *run_dir* is the folder; None writes none.

        Called once for each run, before anything is started. `level` need not be set; the handler is closed when the
        run has ended.

        Raises:
            OSError: its file cannot be opened.
        """


class FileLogging(LogConfig):
    """Lines of text in ``cnflow.log`` in the run's folder."""

    kind: Literal["file"] = "file"
    format_string: str = FORMAT
    """How a line is made, as `logging.Formatter` takes it."""

    def handler(self, run_dir: Path) -> logging.Handler:
        """See `LogConfig.handler`."""
        made = logging.FileHandler(run_dir / "cnflow.log", encoding="utf-8")
        made.setFormatter(logging.Formatter(self.format_string, datefmt=DATES))
        return made


class JSONLogging(LogConfig):
    """One JSON object per line in ``cnflow.jsonl`` in the run's folder, for programs to read."""

    kind: Literal["json"] = "json"

    def handler(self, run_dir: Path) -> logging.Handler:
        """See `LogConfig.handler`."""
        made = logging.FileHandler(run_dir / "cnflow.jsonl", encoding="utf-8")
        made.setFormatter(JSONLines())
        return made


class NoopLogging(LogConfig):
    """Nowhere, as False; for who has to pass an object."""

    kind: Literal["none"] = "none"

    def handler(self, run_dir: Path) -> None:
        """See `LogConfig.handler`."""


class JSONLines(logging.Formatter):
    """A record as one line of JSON.

    Its fields are ``timestamp`` (UTC, ISO 8601), ``level``, ``name`` (the logger's), ``line``, ``message``,
    ``process``, ``thread``, with an exception ``exception``; and every field whose name begins with ``cnflow.``, as
    given by ``logger.info(..., extra={"cnflow.task_id": 7})``. A value that JSON has no word for is written as its
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
        return json.dumps({**fields, **{name: _sayable(value) for name, value in extras.items()}})


def _sayable(value: object) -> object:
    """*value*, or its ``repr`` where JSON has no word for it or for something in it."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return repr(value)
    return value

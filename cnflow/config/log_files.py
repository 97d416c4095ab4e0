"""Settings of the log files of a run."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cnflow.config.base import Settings
from cnflow.config.logging import parse_level
from cnflow.config.quantities import Bytes


class LogFiles(Settings):
    """Form and size of a run's log files: those of the driver, of interchanges, of blocks, and of tasks."""

    format: Literal["text", "json"] = "text"
    """Form of each line. ``json``: an object with ``timestamp``, ``message`` and ids: ``run``, ``executor``, ``block``,
    ``host``, ``worker``, ``app`` and ``task``, as far as the line has them."""

    level: Annotated[int, BeforeValidator(parse_level)] = logging.INFO
    """Level from which on lines of the driver are written to ``cnflow.log``, or ``cnflow.jsonl``, in the run's folder;
    a number as in the module `logging`, or its name. `Config.initialize_logging`, where it is set, is used instead."""

    size: Bytes | None = Field(default=None, ge=1_000_000)
    """Bytes of each log, and its older part: of the driver, an interchange, a block; None is `Config.log_size`."""

    task_size: Bytes | None = Field(default=None, ge=10_000)
    """Bytes of each file that AUTO_LOGNAME makes for a task in the run's folder, and its older part ``NAME.1``; None is
    no limit. Files that the user names are results, and are left alone."""

    total_size: Bytes | None = Field(default=None, ge=1_000_000)
    """Bytes of all logs of the run together: beyond, older parts are removed, then logs that nobody has written to for
    a minute, the oldest first. None is no limit."""


def parse_log_files(value: object) -> object:
    """Return the settings of a form's name, such as ``"json"``; other values as they are."""
    return LogFiles.model_validate({"format": value}) if isinstance(value, str) else value

"""Writes reports of runs, for `cnflow report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cnflow.errors import ConfigurationError
from cnflow.text import describe_error

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.cli.runs.lookup import RunPlace
    from cnflow.monitoring.queries.reader import Reader
    from cnflow.monitoring.report.collect import RunReport


def recorded(place: RunPlace) -> Reader:
    """Return the database of a run.

    Raises:
        ConfigurationError: the run is not monitored.
    """
    if place.reader is None:
        raise ConfigurationError(
            f"The run in {place.folder} is not monitored, so that there is nothing to report but its logs. Load the "
            "next one with Config(monitoring=True)."
        )
    return place.reader


def report_as_json(values: RunReport) -> dict[str, object]:
    """Return what a report has as JSON has it; bars of workers are left out."""
    fields: dict[str, object] = msgspec.to_builtins(values._replace(bars=[])._asdict())
    del fields["bars"]
    return fields


def write_report(file: Path, text: str) -> Path:
    """Write *text* to *file* and return it.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {describe_error(error)}") from error
    return file

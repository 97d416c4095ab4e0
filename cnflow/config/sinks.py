"""Settings of sinks, which record the events of a run."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnflow.config.base import Settings
from cnflow.config.paths import PathText


class SinkSettings(Settings):
    """Base of the settings of every sink; `backend` names a `cnflow.interfaces.Sink`."""

    kind: str


class JsonLinesSink(SinkSettings):
    """Writes events to a file, one JSON object a line; see `cnflow.model.events` for their fields."""

    backend: ClassVar[str] = "cnflow.monitoring.sinks.json_lines:JsonLines"
    kind: Literal["json_lines"] = "json_lines"
    path: PathText = "events.jsonl"
    """File that is appended to; a relative path begins in the run's folder."""

"""Settings of sinks, which record the events of a run."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cnflow.config.base import Settings
from cnflow.config.paths import PathText


class SinkSettings(Settings):
    """Base of the settings of every sink; `backend` names a `cnflow.interfaces.Sink`."""

    kind: str

    def task_variables(self) -> str:
        """Name ``module:function`` of what is called with the ids of run and task for environment variables.

        Each task that a process of a block runs has them. Empty where tasks need to know nothing of the sink.
        """
        return ""


class JsonLinesSink(SinkSettings):
    """Writes events to a file, one JSON object a line; see `cnflow.model.events` for their fields."""

    backend: ClassVar[str] = "cnflow.monitoring.sinks.json_lines:JsonLines"
    kind: Literal["json_lines"] = "json_lines"
    path: PathText = "events.jsonl"
    """File that is appended to; a relative path begins in the run's folder."""


class OpenTelemetrySink(SinkSettings):
    """Sends the run as a trace to a collector of OpenTelemetry, by OTLP over HTTP: a span for each task and each try.

    The environment variables of OpenTelemetry hold all else: ``OTEL_EXPORTER_OTLP_HEADERS``,
    ``OTEL_EXPORTER_OTLP_CERTIFICATE`` and so on. A collector that is down or slow holds no task up.
    """

    backend: ClassVar[str] = "cnflow.monitoring.sinks.open_telemetry.sink:Traces"
    extra: ClassVar[str] = "opentelemetry"
    packages: ClassVar[tuple[str, ...]] = ("opentelemetry",)
    kind: Literal["open_telemetry"] = "open_telemetry"

    endpoint: str | None = None
    """URL of the collector's traces, such as ``http://localhost:4318/v1/traces``; None takes that of the variables
    ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` and ``OTEL_EXPORTER_OTLP_ENDPOINT``, else port 4318 of this machine."""

    service_name: str = "cnflow"
    """Name of the service in the traces."""

    request_share: float = Field(default=1.0, ge=0, le=1)
    """Share of the requests to served models without a trace context (``traceparent``) that are traced, beside all that
    fail in the server; requests with one follow its flag. Below 1 for many requests a second."""

    propagate: bool = True
    """Give each task that a process of a block runs the variable ``TRACEPARENT``: spans that its code makes become
    children of the task's span."""

    def task_variables(self) -> str:
        """See `SinkSettings.task_variables`."""
        return "cnflow.monitoring.sinks.open_telemetry.ids:task_variables" if self.propagate else ""

"""Parsl's monitoring: its hub, and its radios, which have nothing to do here."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import monitoring
from cnflow.config.base import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NOT_NEEDED = ("client_address", "client_port_range", "hub_address", "hub_port", "hub_port_range", "logdir")

_PATIENCE = 10.0
"""Seconds in which the process that writes the database is started."""


class MonitoringHub(ParslSettings, monitoring.MonitoringHub):
    """`cnflow.config.MonitoringHub` with Parsl's parameters; addresses and ports are accepted with a warning."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("hub_address",)

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`, and warn of parameters that are not needed."""
        for name in _NOT_NEEDED:
            if given.get(name) is not None:
                warnings.warn(
                    f"MonitoringHub({name}=...) is not needed: events take the connections that a run has anyway.",
                    DeprecationWarning,
                    stacklevel=4,
                )
        return super().translate(given)


class LiveMonitoring:
    """``dfk.monitoring``: the settings of the run's monitoring, and the process that writes the database.

    Args:
        settings: of the run.
        sinks: that record its events.
    """

    def __init__(self, settings: monitoring.MonitoringHub, sinks: Iterable[object]) -> None:
        self._settings = settings
        self._writer: Any = next((sink.writer for sink in sinks if hasattr(sink, "writer")), None)

    @property
    def dbm_proc(self) -> Any:  # noqa: ANN401 - of the database's sink, whose packages may be missing
        """The process that writes the database, with `pid` and ``is_alive()``; the run starts another if it ends."""
        end = time.monotonic() + _PATIENCE
        while self._writer is not None and self._writer.pid is None and time.monotonic() < end:
            time.sleep(0.05)  # the first event starts it
        return self._writer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a setting
        return getattr(self._settings, name)


class RadioConfig(Settings):
    """Base of Parsl's ways to send messages of monitoring. Without effect: events take the connections of the run."""


class HTEXRadio(RadioConfig):
    """See `RadioConfig`."""


class FilesystemRadio(RadioConfig):
    """See `RadioConfig`."""


class MultiprocessingQueueRadio(RadioConfig):
    """See `RadioConfig`."""


class UDPRadio(RadioConfig):
    """See `RadioConfig`."""

    address: str
    port: int | None = None
    atexit_timeout: int = 3
    debug: bool = False
    hmac_digest: str = "sha512"

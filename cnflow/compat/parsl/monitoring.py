"""Parsl's monitoring: its hub, and its radios, which have nothing to do here."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import monitoring
from cnflow.config.base import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_NEEDED = ("client_address", "client_port_range", "hub_address", "hub_port", "hub_port_range", "logdir")


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

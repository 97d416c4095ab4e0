"""Settings of the channels: how commands reach the machine on which they run, such as a login node."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, SerializeAsAny

from cnflow.config.base import Settings
from cnflow.config.registry import CHANNELS


class ChannelSettings(Settings):
    """Options of every channel; `backend` is called with the settings and returns a `cnflow.interfaces.Channel`."""

    kind: str


class LocalChannel(ChannelSettings):
    """Runs commands on this machine."""

    backend: ClassVar[str] = "cnflow.channels.local:LocalBackend"
    kind: Literal["local"] = "local"


AnyChannel = Annotated[SerializeAsAny[ChannelSettings], BeforeValidator(CHANNELS.parse)]
"""Type of an option that is a channel: settings, or a table of a file."""

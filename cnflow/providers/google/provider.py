"""Provider of machines of Google Compute Engine; all but the cloud itself is shared with the other clouds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.providers._shared.machines.backend import MachineBackend
from cnflow.providers.google.cloud import GoogleCloud

if TYPE_CHECKING:
    from cnflow.config.google_cloud import GoogleCloudProvider


class GoogleCloudBackend(MachineBackend):
    """Starts managers on machines of Compute Engine."""

    def __init__(self, settings: GoogleCloudProvider) -> None:
        super().__init__(settings, GoogleCloud)

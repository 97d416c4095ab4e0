"""Provider of machines of Azure: that of all clouds, over `cnflow.providers.azure.cloud.AzureCloud`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.providers._shared.machines.backend import MachineBackend
from cnflow.providers.azure.cloud import AzureCloud

if TYPE_CHECKING:
    from cnflow.config.azure import AzureProvider


class AzureBackend(MachineBackend):
    """Starts machines of Azure; *options* are those of `MachineBackend`."""

    def __init__(self, settings: AzureProvider, **options: Any) -> None:  # noqa: ANN401 - as of the base class
        super().__init__(settings, AzureCloud, **options)

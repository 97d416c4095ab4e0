"""Provider of servers of OpenStack: that of all clouds, over `cnflow.providers.openstack.cloud.OpenStackCloud`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.providers._shared.machines.backend import MachineBackend
from cnflow.providers.openstack.cloud import OpenStackCloud

if TYPE_CHECKING:
    from cnflow.config.openstack import OpenStackProvider


class OpenStackBackend(MachineBackend):
    """Starts servers of OpenStack; *options* are those of `MachineBackend`."""

    def __init__(self, settings: OpenStackProvider, **options: Any) -> None:  # noqa: ANN401 - as of the base class
        super().__init__(settings, OpenStackCloud, **options)

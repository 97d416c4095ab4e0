"""Settings of the provider of OpenStack's servers: Jetstream2, Chameleon, the cloud of a university.

::

    OpenStackProvider(cloud="jetstream", image_id="Ubuntu 24.04*", instance_types=["m3.small"])
          │                                   │                       └── flavors
          │                                   └── newest of Glance's images with such a name
          └── entry of clouds.yaml; without it the variables OS_...

https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from cnflow.config.machines import MachineSettings
from cnflow.config.quantities import Duration

if TYPE_CHECKING:
    from typing_extensions import Self


class OpenStackProvider(MachineSettings):
    """Blocks are servers of an OpenStack cloud (``pip install 'cnflow[openstack]'``).

    A server that shuts itself down is kept by OpenStack, and counts against the quota, until it is deleted: the driver
    does that, or ``cnflow clean --cloud``.
    """

    backend: ClassVar[str] = "cnflow.providers.openstack.provider:OpenStackBackend"
    extra: ClassVar[str] = "openstack"
    packages: ClassVar[tuple[str, ...]] = ("openstack", "cryptography")
    price_list: ClassVar[str] = "openstack"
    kind: Literal["openstack"] = "openstack"

    cloud: str | None = None
    """Entry of ``clouds.yaml``; None follows the variables ``OS_CLOUD``, ``OS_AUTH_URL`` and so on. Passwords are read
    from there alone."""

    region: str | None = None
    """Region; None is the one of the entry or of ``OS_REGION_NAME``."""

    image_id: str = ""
    """Image of the machines: id or name, of several the newest; ``*`` stands for any text. Machines need one."""

    networks: list[str] = Field(default_factory=list)
    """Names or ids of the networks of the machines, the one on which they reach each other first. Empty is the only
    network of the project, or the one that the cloud makes for a project that has none."""

    floating_network: str | None = None
    """Name or id of the external network from which the machine of the interchange gets a floating address; None where
    this machine reaches the project's network, or all of its addresses are public."""

    security_groups: list[str] = Field(default_factory=list)
    """Names of the security groups of the machines, which must reach each other, and the interchange's by ssh. Empty
    is the project's ``default`` group, or the one that `create_network` makes."""

    key_name: str | None = None
    """Key pair of yours that is put onto the machines, to look at them; cnflow has keys of its own."""

    volume_type: str | None = None
    """Type of the volume that is the first disk where `disk_size` is set; it is deleted with its machine."""

    server_group: str | None = None
    """Id of a server group, such as one with the policy ``soft-anti-affinity``."""

    config_drive: bool = False
    """Give the user data by a drive, for clouds without a metadata service."""

    server: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request for a server, as they are: ``{"description": "..."}``."""

    cmd_timeout: Duration = Field(default=60.0, gt=0)
    """Seconds within which the cloud must answer a request."""

    @field_validator("spot")
    @classmethod
    def _has_no_spot(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic's signature
        if value:
            raise ValueError("OpenStack has no spot machines; leave spot=True out")
        return value

    @field_validator("server")
    @classmethod
    def _keeps_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        own = sorted({"name", "metadata", "tags", "user_data", "min_count", "max_count"} & value.keys())
        if own:
            raise ValueError(f"{own[0]!r} is set by cnflow, which finds its machines by it; use tags= or user_data=")
        return value

    @model_validator(mode="after")
    def _volume_has_a_size(self) -> Self:
        if self.volume_type is not None and self.disk_size is None:
            raise ValueError(f"volume_type={self.volume_type!r} needs the size of the volume: disk_size=, in GiB")
        if self.create_network and self.networks:
            raise ValueError("create_network=True makes the network: leave networks= out")
        return self


JetstreamProvider = OpenStackProvider
"""Alias for Jetstream2, which is an OpenStack cloud."""

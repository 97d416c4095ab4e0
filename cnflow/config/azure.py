"""Settings of the provider of Azure's virtual machines. Tried against a server in memory alone, never on Azure itself.

::

    AzureProvider(
        subscription_id=...,
        resource_group="mine",
        location="westeurope",
        subnet="net/default",
        image_id="Canonical:ubuntu-24_04-lts:server:latest",
        instance_types=["Standard_D4s_v5"],
    )
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from cnflow.config.machines import MachineSettings
from cnflow.config.quantities import Duration


class AzureProvider(MachineSettings):
    """Blocks are virtual machines of Azure (``pip install 'cnflow[azure]'``); not tried on the real service.

    Credentials are those of ``azure-identity``: variables ``AZURE_...``, a managed identity, ``az login``. A machine
    that shuts itself down is kept, and paid, until it is deleted: the driver does that, or ``cnflow clean --cloud``.
    """

    backend: ClassVar[str] = "cnflow.providers.azure.provider:AzureBackend"
    extra: ClassVar[str] = "azure"
    packages: ClassVar[tuple[str, ...]] = ("azure", "cryptography")
    price_list: ClassVar[str] = "azure"
    notices: ClassVar[str] = "azure"
    kind: Literal["azure"] = "azure"

    subscription_id: str = ""
    """Id of the subscription."""

    resource_group: str = "cnflow"
    """Name of the resource group, which exists."""

    location: str = "westeurope"
    """Region."""

    image_id: str = ""
    """Image of the machines: ``PUBLISHER:OFFER:SKU:VERSION``, or the id of an image; it has cloud-init."""

    subnet: str = ""
    """Subnet of the machines: ``NETWORK/SUBNET`` in the resource group, or its id."""

    security_group: str | None = None
    """Id of a network security group; for the machine of the interchange it opens port 22."""

    admin_user: str = "cnflow"
    """User that Azure makes on each machine."""

    ssh_public_key: str | None = None
    """Public key for that user; None gives it a password that nobody knows."""

    identity: str | None = None
    """Id of a managed identity of the machines."""

    endpoint: str = "https://management.azure.com"
    """Address of the resource manager, which another cloud of Microsoft's has elsewhere."""

    cmd_timeout: Duration = Field(default=60.0, gt=0)
    """Seconds within which the service must answer a request."""

    @property
    def price_region(self) -> str:
        """See `location`."""
        return self.location

    @field_validator("create_network")
    @classmethod
    def _makes_none(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic's signature
        if value:
            raise ValueError("AzureProvider makes no network; name a subnet=")
        return value

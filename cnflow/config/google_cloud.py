"""Settings of the provider for Google Compute Engine: a block is one or more instances.

::

    GoogleCloudProvider(project=..., region="us-central1", instance_types=["n2-standard-8"], spot=True)
          │
          ├── zones: those of the region, in turn, where one has no room (ZONE_RESOURCE_POOL_EXHAUSTED)
          └── cnflow.providers.google.requests.instance_for ──> the instance as the REST API takes it
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from cnflow.config.google_cloud_end import end_commands
from cnflow.config.machines import MachineSettings
from cnflow.config.paths import PathText
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self

    from cnflow.model.machine import Rate

COMPUTE_SCOPE = "https://www.googleapis.com/auth/compute"
"""The right that a machine needs to delete itself, https://developers.google.com/identity/protocols/oauth2/scopes#compute"""

# https://cloud.google.com/compute/docs/reference/rest/v1/instances/insert, the fields of an instance that can be set
_FIELDS = (
    *("advancedMachineFeatures", "canIpForward", "confidentialInstanceConfig", "deletionProtection", "description"),
    *("disks", "displayDevice", "guestAccelerators", "hostname", "instanceEncryptionKey", "keyRevocationActionType"),
    *("labels", "machineType", "metadata", "minCpuPlatform", "name", "networkInterfaces", "networkPerformanceConfig"),
    *("params", "privateIpv6GoogleAccess", "reservationAffinity", "resourcePolicies", "scheduling"),
    *("serviceAccounts", "shieldedInstanceConfig", "sourceMachineImage", "tags"),
)
_OURS = ("name", "machineType", "labels", "metadata")
_PLACE = re.compile(r"[a-z]+(-[a-z]+[0-9]+)?(-[a-z])?")
# https://cloud.google.com/compute/docs/labeling-resources#requirements
_LABEL, _LABEL_VALUE = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
_TAG = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


class GoogleCloudProvider(MachineSettings):
    """Blocks are virtual machines of Google Compute Engine (``pip install 'cnflow[gcp]'``).

    Credentials are those that Google's SDK finds: GOOGLE_APPLICATION_CREDENTIALS, ``gcloud auth application-default
    login``, or the machine's own account. See the page "Burst to a cloud".
    """

    backend: ClassVar[str] = "cnflow.providers.google.provider:GoogleCloudBackend"
    extra: ClassVar[str] = "gcp"
    packages: ClassVar[tuple[str, ...]] = ("google", "cryptography")
    notices: ClassVar[str] = "google"
    price_list: ClassVar[str] = "gce"
    small_type: ClassVar[str] = "e2-small"
    kind: Literal["google_cloud"] = "google_cloud"

    project: str | None = None
    """Id of the project; None is that of the credentials, else of GOOGLE_CLOUD_PROJECT."""

    region: str = "us-central1"
    """Region of the machines; `zones` narrows it."""

    image_family: str = "debian-12"
    """Family of the machine's image, of which the newest is taken: ``gcloud compute images list`` shows them."""

    image_project: str = "debian-cloud"
    """Project of `image_family` and `machine_image`."""

    machine_image: str = ""
    """Name of one image, in place of the newest of `image_family`; also as ``projects/PROJECT/global/images/NAME``."""

    accelerator_type: str = ""
    """GPU that `gpus` attaches to machines of a type without, such as ``nvidia-tesla-t4`` to an ``n1-standard-8``;
    types such as ``g2-standard-4`` bring theirs."""

    disk_type: str = "pd-balanced"
    """Type of the first disk."""

    network: str = ""
    """Name of the network; empty is ``default``, or the one that `create_network` makes."""

    subnetwork: str = ""
    """Subnetwork, for a network that has no automatic ones: its name, or ``projects/P/regions/R/subnetworks/NAME``."""

    network_tags: list[str] = Field(default_factory=list)
    """Tags to which firewall rules refer."""

    public_addresses: bool = True
    """Give machines a public address; without one they reach the internet by Cloud NAT only. The machine of an
    interchange always has one."""

    service_account: str | None = "default"
    """E-mail of the machines' service account, ``default`` for the project's, None for no account. With an account a
    machine deletes itself when its manager ends; without, it shuts down, which leaves its disk until the driver, or
    ``cnflow clean --cloud``, deletes it."""

    scopes: list[str] = Field(default_factory=lambda: [COMPUTE_SCOPE])
    """Scopes of that account."""

    instance_template: str = ""
    """Name of an instance template of the project, or its path: what these settings do not set is taken from it."""

    instance_options: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the instance, merged into the request, as the REST API names them:
    ``{"minCpuPlatform": "Intel Ice Lake"}``."""

    key_file: PathText | None = None
    """File with the credentials, in place of those that the SDK finds."""

    endpoint: str = ""
    """Address of the API, for private endpoints; empty is Google's."""

    @field_validator("region", "zones")
    @classmethod
    def _places_have_names_of_places(cls, value: str | list[str]) -> str | list[str]:
        for place in [value] if isinstance(value, str) else value:
            if not _PLACE.fullmatch(place):
                raise ValueError(f"{place!r} is no name of a region or zone, such as 'us-central1' or 'us-central1-a'")
        return value

    @field_validator("network_tags")
    @classmethod
    def _tags_are_names(cls, value: list[str]) -> list[str]:
        for tag in value:
            if not _TAG.fullmatch(tag):
                raise ValueError(f"{tag!r}: a tag has lower-case letters, digits and '-', a letter first")
        return value

    @field_validator("tags")
    @classmethod
    def _tags_are_labels(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _LABEL.fullmatch(name) or not _LABEL_VALUE.fullmatch(text):
                raise ValueError(
                    f"{name!r}: {text!r} is no label of Google's, which has at most 63 lower-case letters, digits, '-' "
                    "and '_', a letter first in its name"
                )
        return value

    @field_validator("instance_options")
    @classmethod
    def _options_are_fields(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name in _OURS:
                raise ValueError(f"instance_options cannot set {name!r}: cnflow does; see instance_types and tags")
            if name not in _FIELDS:
                raise ValueError(f"an instance has no field {name!r}.{did_you_mean(name, _FIELDS)}")
        return value

    @model_validator(mode="after")
    def _places_agree(self) -> Self:
        for zone in self.zones:
            if not zone.startswith(f"{self.region}-"):
                raise ValueError(f"the zone {zone!r} is not in region={self.region!r}; set region, too")
        if self.accelerator_type and not self.gpus:
            raise ValueError(f"accelerator_type={self.accelerator_type!r} attaches no GPU without a number: set gpus=")
        if self.create_network and (self.network or self.subnetwork):
            raise ValueError("create_network=True makes a network: network and subnetwork cannot name one")
        return self

    def rate_of(self, instance_type: str, *, region: str = "", is_spot: bool = False) -> Rate:
        """Price and size of a machine; the table has no price for one with attached GPUs."""
        rate = super().rate_of(instance_type, region=region, is_spot=is_spot)
        is_table = self.price_per_hour is None
        return rate._replace(usd_per_hour=None) if self.accelerator_type and is_table else rate

    @property
    def has_account(self) -> bool:
        """True if machines have rights of their own, with which they delete themselves."""
        return bool(self.service_account) and bool(self.scopes)

    def end_commands(self) -> str:
        """Commands by which a machine deletes itself; none without an account, which has no right to do it."""
        return end_commands(self.endpoint) if self.has_account else ""

"""Settings that the providers of all clouds share: a block is one or more virtual machines.

::

    EC2Provider(image_id=..., instance_types=[...], spot=True) ──Cloud.placements──> (type, zone, spot), in order
          │
          ├── traits: known without a cloud
          ├── site(): a machine of the cloud runs the interchange where the driver cannot be reached
          └── the cloud's own `requests.instance_for(request, settings) -> dict`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from cnflow.budget.amounts import Billing, dearest
from cnflow.budget.prices import price_table
from cnflow.config.image import IMAGE_DEFAULT, AnyImage
from cnflow.config.interchange_place import ClusterSite
from cnflow.config.paths import PathText
from cnflow.config.providers import ProviderSettings
from cnflow.config.quantities import Duration, MemorySize
from cnflow.config.variables import Variables
from cnflow.model.machine import Rate
from cnflow.model.traits import CapsuleVia, Delivery, LogsVia, NodesVia, Traits
from cnflow.model.visible_files import VisibleFiles
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.image import Image

_CHEAPEST = 8
"""Types among which a provider chooses, at most, where the user names none."""

# https://aws.amazon.com/ec2/pricing/on-demand/ and https://cloud.google.com/compute/all-pricing: seconds, of which 60
# are paid in any case.
_MINIMUM = Seconds(60.0)

LONGEST_USER_DATA = 16 * 1024
"""Bytes; EC2 refuses more, https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html"""


class MachineSettings(ProviderSettings):
    """Options of every provider of virtual machines."""

    notices: ClassVar[str] = ""
    """Metadata service of its machines that announces their end: ``ec2``, ``google`` or ``azure``."""

    price_list: ClassVar[str] = ""
    """Name of the cloud in the table of prices, see `cnflow.budget.prices`."""

    small_type: ClassVar[str] = ""
    """Usual type of a machine that runs the interchange; empty where it is found among those of the cloud."""

    image: AnyImage = IMAGE_DEFAULT
    """Container image of executors that name none themselves; empty runs tasks on the bare machine."""

    instance_types: list[str] = Field(default_factory=list)
    """Types of machines in order of preference: the next is taken where one is not to be had. Empty takes the cheapest
    types that have `cores`, `memory` and `gpus`."""

    cores: Annotated[int, Field(ge=1)] | None = None
    """vCPUs that a machine has at least; also what `cores_per_worker` divides until the first machine has connected."""

    memory: MemorySize | None = None
    """Memory that a machine has at least: bytes, or a number with a unit such as ``"16g"``."""

    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs that a machine has at least."""

    zones: list[str] = Field(default_factory=list)
    """Availability zones, tried in turn where one has no capacity; empty takes those of the region."""

    spot: bool = False
    """Ask for spare capacity that the cloud may take back at a notice of two minutes or less, at a lower price."""

    spot_fallback: bool = True
    """Take machines at the full price where no zone and type has spot capacity; False waits."""

    disk_size: Annotated[int, Field(ge=1)] | None = None
    """GiB of the first disk; None is that of the machine's image."""

    tags: dict[str, str] = Field(default_factory=dict)
    """Further tags, or labels, of all that is made."""

    user_data: str = ""
    """Shell commands that run as root when a machine has booted, before cnflow's own, such as mounts."""

    worker_init: str = ""
    """Shell commands that run before the workers, in the same shell."""

    environment: Variables = Field(default_factory=dict)
    """Variables added to the workers' environment."""

    runtime: Literal["auto", "docker", "podman"] = "auto"
    """Engine that runs an `image` on the machine; ``auto`` takes the one that it has."""

    install_runtime: bool = False
    """Install the engine, by the package manager of the machine's system, where it has none."""

    create_network: bool = False
    """Make a network with a way to the internet for the machines, and remove it when no run of yours uses it."""

    boot: Literal["fetch", "ssh"] = "fetch"
    """Way of cnflow's code and keys to a machine: it fetches them from the machine of the interchange over TLS with a
    pinned certificate and a token that works once; or the driver brings them by ssh, for which it must reach it."""

    ssh_user: str = ""
    """User of the machine's image that the driver logs in as, to the machine of the interchange and for
    ``boot="ssh"``; empty is the cloud's usual one. cnflow draws a key for each run, and pins the machine's own."""

    ssh_options: list[str] = Field(default_factory=list)
    """Further options of ``ssh``, such as ``["-J", "me@bastion"]``."""

    interchange_type: str = ""
    """Type of the machine that runs the interchange where the driver cannot be reached; empty is a small one."""

    detached_timeout: Duration = Field(default=600.0, gt=0)
    """Seconds without a driver, or without an interchange, after which machines end themselves."""

    startup_time: Duration = Field(default=90.0, ge=0)
    """Usual seconds from the request of a machine to its first task: a budget starts none that it could not use."""

    shutdown_time: Duration = Field(default=60.0, ge=0)
    """Seconds for which a machine is paid after the order to end it, at most: a budget keeps room for them."""

    is_in_cloud: bool = False
    """The script itself runs in the cloud's network, where its machines reach it: the interchange stays with it."""

    python: PathText | None = None
    """Interpreter of the workers on the bare machine; None is its ``python3`` from 3.8 on, else one that cnflow
    brings."""

    @property
    def default_image(self) -> Image:
        """See `image`."""
        return self.image

    def site(self) -> ClusterSite:
        """The cloud's network, in which a machine of its own runs the interchange."""
        return ClusterSite(is_local=self.is_in_cloud)

    def end_commands(self) -> str:
        """Shell commands that a machine runs before its ``shutdown``, where that alone does not end its costs."""
        return ""

    def traits(self) -> Traits:
        """Traits of virtual machines."""
        return Traits(
            runs_images=True,
            runs_bare=True,
            delivery=Delivery.USER_DATA,
            capsule=CapsuleVia.FETCH if self.boot == "fetch" else CapsuleVia.SSH_COPY,
            logs=LogsVia.ON_REQUEST,
            nodes=NodesVia.PODS,
            poll_period=Seconds(5.0),
            status_lag=Seconds(60.0),
            submits_per_second=2.0,
            submit_at_once=20,
            cores=float(self.cores) if self.cores else None,
        )

    @property
    def node_gpus(self) -> float:
        """At least."""
        return float(self.gpus)

    def billing(self) -> Billing:
        """Cost of a block of the dearest machines that it may have; a machine is paid from its request on."""
        nodes = self.nodes_per_block
        machine = dearest(self._rates())
        small = self.rate_of(self.interchange_type or self.small_type)
        overhead = machine if small.usd_per_hour is None else small._replace(gpus=0.0)
        return Billing(
            machine.times(nodes),
            startup=Seconds(self.startup_time),
            shutdown=Seconds(self.shutdown_time),
            minimum=_MINIMUM,
            poll_period=Seconds(self.traits().poll_period + 1.0),
            is_queue_free=False,
            overhead=Rate(0.0) if self.is_in_cloud else overhead,
        )

    @property
    def price_region(self) -> str:
        """Region of the prices; empty takes the dearest of all."""
        return str(getattr(self, "region", None) or "")

    def rate_of(self, instance_type: str, *, region: str = "", is_spot: bool = False) -> Rate:
        """Price and size of a machine by `price_per_hour` and the table of prices, as far as either is known."""
        region = region or self.price_region
        rate = price_table().rate_of(self.price_list, region, instance_type, is_spot=is_spot)
        rate = rate._replace(cores=rate.cores or float(self.cores or 0), gpus=rate.gpus or self.node_gpus)
        return rate if self.price_per_hour is None else rate._replace(usd_per_hour=self.price_per_hour)

    def _rates(self) -> list[Rate]:
        names = self.instance_types or self.cheapest_types()[:_CHEAPEST] or [""]
        is_spot = self.spot and not self.spot_fallback
        return [self.rate_of(name, is_spot=is_spot) for name in names]

    def cheapest_types(self) -> list[str]:
        """Types of the table of prices that have what is asked for, cheapest first; empty if it has none."""
        fitting = {"cores": self.cores or 1, "memory": self.memory, "gpus": self.gpus}
        return price_table().types_that_fit(self.price_list, self.price_region, **fitting)  # type: ignore[arg-type]

    def visible_files(self, folders: Sequence[str]) -> VisibleFiles | None:  # noqa: ARG002 - no folder is shared
        """None of this machine's files."""
        return VisibleFiles((), (), "Machines of a cloud share no files with this one: name files as File(...).")

    @field_validator("user_data")
    @classmethod
    def _user_data_fits(cls, value: str) -> str:
        if len(value.encode()) > LONGEST_USER_DATA // 2:
            raise ValueError(
                f"user_data has {len(value.encode())} bytes, and clouds take 16 KB of which cnflow needs half; fetch "
                "longer scripts by it, or build an image"
            )
        return value

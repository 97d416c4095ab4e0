"""Settings of the executors, which run tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from cnflow.config.base import Settings
from cnflow.config.executor_checks import check_address, check_blocks, check_heartbeats, check_several
from cnflow.config.image import IMAGE_DEFAULT, AnyImage
from cnflow.config.interchange_place import InterchangePlace, check_interchange
from cnflow.config.paths import PathText, UnexpandedPath, expand_path, has_shell_marks
from cnflow.config.providers import LocalProvider
from cnflow.config.quantities import Bytes, Duration, Gibibytes
from cnflow.config.several import OneOrSeveral, SeveralProviders, parse_provider
from cnflow.config.staging import AnyStaging
from cnflow.config.tables import at, refuse_table
from cnflow.config.ways import AnyWay, DialIn, PortRange, ports_in_order
from cnflow.errors import ConfigurationError
from cnflow.model.image import NO_IMAGE, Image
from cnflow.tasks.core_lists import parse_core_list

if TYPE_CHECKING:
    from typing_extensions import Self

LABEL = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"


def _local() -> Any:  # noqa: ANN401 - the type of the field, which reads another than it takes
    return LocalProvider()


AcceleratorName = Annotated[str, Field(min_length=1)]


class ExecutorSettings(Settings):
    """Options of every executor. Subclass it for an executor of your own.

    The subclass has a `kind` of its own and a `backend`, which is called as ``backend(settings, run)`` with the
    settings and a `cnflow.interfaces.RunContext`, and returns a `cnflow.interfaces.Executor`.
    """

    def __init__(self, *positional: Any, **data: Any) -> None:  # noqa: ANN401 - pydantic validates each
        try:
            super().__init__(*positional, **data)
        except ConfigurationError as error:  # also that of a provider in a table, which knows no executor
            label = data.get("label")
            raise (at(f"{type(self).__name__} {label!r}", error) if isinstance(label, str) else error) from None

    kind: str
    label: str = Field(pattern=LABEL)
    """Name by which apps choose it (``executors=["label"]``); unique within a Config; names its log folder."""

    image: AnyImage = IMAGE_DEFAULT
    """Container image that its tasks run in: its name, or an `Image` (a table in a file) with further options; empty
    runs them on the bare node, or makes it a template for images."""

    storage_access: list[AnyStaging] | None = None
    """Stagings for the files of its tasks; the first that can move a file does. None is those for ``file``, ``ftp``,
    ``http`` and ``zip``; a list replaces them all. In a configuration file, tables with a ``kind``."""

    working_dir: PathText | None = None
    """Folder under which copies of files go, in ``staged/``; None is the run's folder."""

    @property
    def is_fresh(self) -> bool:
        """Each task runs in a block of its own."""
        return False

    @property
    def runs_images(self) -> bool:
        """Workers run in containers: without an image the executor is the template of executors for images."""
        return False

    @property
    def needs_image(self) -> bool:
        """Without an image it starts nothing: it only is the template of executors for images."""
        return self.runs_images

    @property
    def is_cloneable(self) -> bool:
        """An executor for another image can be made by setting `image` in a copy of the settings."""
        return False

    def without_images(self) -> Self:
        """The same executor on the bare node."""
        return self.model_copy(update={"image": NO_IMAGE})

    def for_fresh_tasks(self) -> Self:
        """The same executor, which runs each task in a block of its own.

        Raises:
            ConfigurationError: it cannot.
        """
        raise ConfigurationError(
            f"fresh=True is asked for, and executor {self.label!r} cannot run each task in a container or process of "
            "its own. Add a HighThroughputExecutor, and name it by executors=[...] if need be."
        )

    @field_validator("storage_access", mode="before")
    @classmethod
    def _stagings_are_listed(cls, value: object) -> object:
        return refuse_table(value, "storage_access", "executors.storage_access")


class ThreadPoolExecutor(ExecutorSettings):
    """Runs tasks in threads of the driver itself: no start-up, no pickling, one interpreter lock."""

    backend: ClassVar[str] = "cnflow.executors.threads.executor:ThreadPoolBackend"
    kind: Literal["threads"] = "threads"
    label: str = Field(default="threads", pattern=LABEL)
    max_threads: int = Field(default=2, ge=1)
    """Tasks that run at the same time."""

    thread_name_prefix: str = ""
    """Start of the threads' names, before ``-0``, ``-1`` and so on; empty is ``cnflow-`` and the label."""

    copy_arguments: bool = True
    """Give a task copies of lists, dicts, arrays, dataclasses and other data as they were at the call, as executors of
    processes do. False hands over the caller's own objects: no copy is made, and what the caller or a task changes
    changes for all. What cannot be copied (a lock, a queue, an open file) is shared either way."""

    @field_validator("image")
    @classmethod
    def _threads_have_no_image(cls, image: Image) -> Image:
        if image:
            raise ValueError(
                f"{str(image)!r}: tasks run in threads of the driver, in no container. Use HighThroughputExecutor("
                "image=..., provider=DockerProvider())"
            )
        return image


class HighThroughputExecutor(ExecutorSettings):
    """Runs tasks in worker processes of blocks that a provider starts: one manager per node, one process per worker."""

    backend: ClassVar[str] = "cnflow.executors.high_throughput.factory:make_backend"
    kind: Literal["high_throughput"] = "high_throughput"
    label: str = Field(default="htex", pattern=LABEL)
    provider: OneOrSeveral = Field(default_factory=_local)
    """Source of blocks; or a list of them, in order of preference: tasks run on blocks of all. In a file,
    ``[[executors.provider]]`` for each. See the page "Several providers"."""

    spill_after: Duration = Field(default=60.0, ge=0)
    """Seconds; of several providers, the next is asked for blocks once tasks would wait longer than that for those
    before it."""

    hedge: int = Field(default=1, ge=1)
    """Number of providers that are asked for a block at the same time, of several: the first to connect is used, and
    the others are withdrawn."""

    max_workers: int | None = Field(
        default=None, ge=1, validation_alias=AliasChoices("max_workers", "max_workers_per_node")
    )
    """Limit of workers on one node; None is as many as cores and memory allow."""

    cores_per_worker: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Cores that each worker counts for; 0.5 puts two workers on a core."""

    mem_per_worker: Gibibytes | None = None
    """GiB that each worker counts for, or a text such as ``"4GB"``; None ignores memory."""

    available_accelerators: Annotated[int, Field(ge=0)] | list[AcceleratorName] = Field(default_factory=list)
    """Number of accelerators of a node, or their names. Each worker is shown one, by ``CUDA_VISIBLE_DEVICES``,
    ``ROCR_VISIBLE_DEVICES`` and ``ZE_AFFINITY_MASK``, and a node has no more workers than these. A name may stand for
    several (``"0,1"``) and may be there twice, for two workers that share it. Where there are more numbers than CUDA
    devices, workers share these."""

    cpu_affinity: str = "none"
    """Cores that each worker is pinned to: ``none``, ``block`` (neighbours: 0 and 1, then 2 and 3), ``block-reverse``
    (the last ones first), ``alternating`` (0 and 2, then 1 and 3), or a list for each worker of a node, such as
    ``list:0,1:2-3``. OpenMP gets the same cores."""

    fresh: bool = False
    """Give each task a block of its own, which ends with it: a container, or a process on the bare node. A block has
    one worker then, however many cores it has; ``warm_blocks`` of the provider keeps the next ones ready."""

    prefetch: int | None = Field(default=None, ge=0)
    """Tasks that a manager may hold beyond those that run; None adapts: many while tasks are short, none while long."""

    drain_period: Duration | None = Field(default=None, gt=0)
    """Seconds from a manager's start after which it takes no new task, ends those it has, and leaves; None never."""

    grace_period: Duration = Field(default=8.0, ge=0)
    """Seconds that running tasks have after their manager got SIGTERM (from ``docker stop``, or a preemption), or
    before its block ends; then they are cut off and run again elsewhere. Must be less than the time until SIGKILL:
    10 s for ``docker stop``, 30 s for Slurm as it is delivered."""

    address: str | None = None
    """Address of this machine for its workers, IPv4 or IPv6, or its name; None asks the provider."""

    way: AnyWay = Field(default_factory=DialIn)
    """Who connects to whom: ``DialIn()``, ``Listen()`` or ``Tunnel(address=...)``; see the page "Networks"."""

    interchange: InterchangePlace = "auto"
    """Machine of the interchange, which passes tasks to the managers: ``driver`` (this one), or ``site`` (that of the
    provider's channel, such as a login node, so that nodes need not reach this one). ``auto`` is ``site`` where the
    channel leads to another machine. See the page "From your laptop"."""

    detached_timeout: Duration = Field(default=3600.0, gt=0)
    """Seconds that an interchange at a site, with its managers, goes on without this driver, whose connection may break
    or whose machine may sleep meanwhile; then they end. Also how long the driver tries to connect again."""

    detached_storage: Bytes = Field(default=2**33, ge=2**26)
    """Bytes, 8 GiB: results that an interchange at a site keeps in ``site_dir`` of the provider while this driver is
    away; beyond that it starts no more tasks. What fits in 64 MiB stays in its memory."""

    interchange_command: list[str] = Field(default_factory=list)
    """Command that starts the interchange on another machine, such as ``["ssh", "login1", "python3
    capsule/cnflow/interchange/__main__.py --attach"]``; empty runs it beside the driver. Its stdin and stdout carry the
    tasks; see the page "Run the interchange on a login node". Needs ``address``, that of the other machine."""

    interchange_grace: Duration = Field(default=300.0, gt=0)
    """Seconds that an interchange of ``interchange_command`` lives on without its driver, whose connection may break
    meanwhile; also how long the driver tries to connect again."""

    address_probe_timeout: Duration = Field(default=30.0, gt=0)
    """Seconds within which a manager must reach this machine at one of its addresses; never more than
    ``heartbeat_threshold``."""

    worker_port_range: PortRange | None = None
    """First and last TCP port that the interchange may listen on; None takes any free one."""

    encrypted: bool | None = None
    """Authenticate and encrypt the connections of managers (CurveZMQ); None does so wherever the traffic can be reached
    from outside this machine."""

    max_result_size: Bytes = Field(default=2**32, ge=2**20)
    """Bytes, 4 GiB: a task fails whose result is larger, or has a larger array. The interchange disconnects a peer
    that sends more at a time, so that nobody who reaches its port can fill its memory; see "Security"."""

    share_memory: bool = True
    """Large arguments and results pass by mapped memory to managers that proved that they share it; False: never."""

    keep_results_from: Bytes | None = Field(default=None, ge=1)
    """Bytes from which a result stays on its node until somebody asks for it; None: only with ``keep_remote=True``."""

    node_cache: Bytes | None = Field(default=None, ge=0)
    """Bytes in each node's area that no task needs, and that stay; None: a tenth of the free disk, 16 GiB at most."""

    node_to_node: bool = True
    """Nodes fetch from each other what tasks left, by encrypted ports; False, or no encryption: by the interchange."""

    heartbeat_period: Duration = Field(default=30.0, gt=0)
    """Seconds between two heartbeats."""

    heartbeat_threshold: Duration = Field(default=120.0, gt=0)
    """Seconds of silence after which a manager is lost, or a manager whose interchange is lost ends itself."""

    local_packages: list[str] = Field(default_factory=list)
    """Packages that go along to this executor's blocks, besides those of `Config.local_packages`."""

    block_log_dir: PathText | None = None
    """Folder for the logs of blocks, in ``RUN/LABEL`` under it; None is the run's folder, as for the interchange's."""

    working_dir: UnexpandedPath | None = None
    """Folder on the node in which workers start; None is the driver's at the time of ``load()``, or the image's WORKDIR
    in a container that does not see this folder (`DockerProvider.mount_folders`). ``~`` and variables are this
    machine's, and refused for a container, which has its own. Copies of files go under it, in ``staged/``."""

    @property
    def runs_images(self) -> bool:
        """Blocks are containers, or can be."""
        return self.provider.traits().runs_images

    @property
    def needs_image(self) -> bool:
        """Blocks are containers alone."""
        traits = self.provider.traits()
        return traits.runs_images and not traits.runs_bare

    @property
    def is_fresh(self) -> bool:
        """As `fresh`."""
        return self.fresh

    @property
    def is_cloneable(self) -> bool:
        """Always: the image is that of the blocks."""
        return True

    def for_fresh_tasks(self) -> Self:
        """The same executor with a block for each task, and one that is kept ready; none starts before a task."""
        provider = self.provider
        try:
            provider.refuse_options({"fresh"})
        except ValueError as error:
            raise ConfigurationError(f"Executor {self.label!r}: {error}.") from None
        return self.model_copy(update={"fresh": True, "provider": provider.for_fresh_tasks()})

    def without_images(self) -> Self:
        """The same executor; as many blocks of plain processes on this machine in place of containers."""
        return self.model_copy(update={"image": NO_IMAGE, "provider": self.provider.on_bare_nodes()})

    @field_validator("provider", mode="before")
    @classmethod
    def _provider_by_kind(cls, value: object) -> object:
        return parse_provider(value, cls.model_fields)

    @field_validator("available_accelerators", mode="before")
    @classmethod
    def _a_name_may_be_a_number(cls, value: object) -> object:
        return [str(each) for each in value] if isinstance(value, (list, tuple)) else value

    @field_validator("cpu_affinity", mode="before")
    @classmethod
    def _cores_can_be_read(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parse_core_list(value.lower())
        return value.lower()

    @field_validator("worker_port_range")
    @classmethod
    def _ports_are_in_order(cls, ports: tuple[int, int] | None) -> tuple[int, int] | None:
        return ports_in_order(ports)

    @model_validator(mode="after")
    def _image_is_the_providers(self) -> HighThroughputExecutor:
        if self.image and isinstance(self.provider, SeveralProviders):
            self.provider.refuse_image(self.image)
        if not self.image:  # an assignment would be checked anew, without end
            self.__dict__["image"] = self.provider.default_image
        return self

    @model_validator(mode="after")
    def _options_fit_the_provider(self) -> HighThroughputExecutor:
        self.provider.refuse_options(self.model_fields_set)
        return self

    @model_validator(mode="after")
    def _working_dir_is_expanded(self) -> HighThroughputExecutor:
        if self.working_dir is not None and has_shell_marks(self.working_dir):
            if self.needs_image or self.image:
                raise ValueError(
                    f"working_dir={self.working_dir!r} is a folder of the container, whose home folder and variables "
                    "are not known here; write its path"
                )
            self.__dict__["working_dir"] = expand_path(
                self.working_dir
            )  # an assignment would be checked anew, without end
        return self

    @model_validator(mode="after")
    def _options_fit_each_other(self) -> HighThroughputExecutor:
        check_address(self)
        check_interchange(self)
        check_blocks(self)
        check_several(self)
        check_heartbeats(self)
        return self

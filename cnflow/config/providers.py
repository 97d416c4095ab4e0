"""Settings of the providers: where blocks come from and how many there may be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from cnflow.budget.amounts import Billing
from cnflow.config.base import Settings
from cnflow.config.docker_image import options_for
from cnflow.config.engines import EngineAddress, EngineName, find_engine
from cnflow.config.launchers import AnyLauncher, SingleNodeLauncher
from cnflow.config.mounts import mountable, targets_of
from cnflow.config.paths import PathText, expand_path
from cnflow.config.quantities import Duration, MemorySize
from cnflow.model.image import NO_IMAGE
from cnflow.model.machine import Rate
from cnflow.model.traits import CapsuleVia, Delivery, LogsVia, NodesVia, Traits
from cnflow.model.visible_files import VisibleFiles
from cnflow.tasks.control_groups import usable_cores
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from typing_extensions import Self

    from cnflow.config.interchange_place import Site
    from cnflow.model.image import Image


class ProviderSettings(Settings):
    """Options of every provider. Subclass it for a provider of your own.

    The subclass has a `kind` of its own and a `backend`, which is called as ``backend(settings)`` and returns a
    `cnflow.interfaces.Provider`; see `cnflow.config.registry` for a kind that files can name.
    """

    max_nodes: ClassVar[int | None] = None
    """Nodes that a block of this provider can have; None is any number."""

    kind: str
    init_blocks: int = Field(default=1, ge=0)
    """Blocks started when the executor starts; 0 starts none until there is a task."""

    min_blocks: int = Field(default=0, ge=0)
    """Blocks kept even when idle."""

    warm_blocks: int = Field(default=0, ge=0)
    """Blocks kept ready beyond those that the tasks take, so that the next tasks need not wait for the start of one."""

    max_blocks: int = Field(default=1, ge=0)
    """Limit of blocks at one time; by default `init_blocks` or `min_blocks`, whichever is more, and `warm_blocks`."""

    nodes_per_block: int = Field(default=1, ge=1)
    """Nodes that one block spans."""

    parallelism: float = Field(default=1.0, ge=0.0, le=1.0)
    """Ratio of wanted slots to waiting and running tasks: 1 asks for a slot per task, 0 for the fewest blocks."""

    startup_timeout: Duration = Field(default=300.0, gt=0)
    """Seconds that a running block has until its first manager connects; after that it is ended and counts as failed.
    Nodes of it that have not connected by then are named in a warning, and the others go on."""

    price_per_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """US dollars per hour of a node, for `Config.budget` and for reports. None is that of the table of prices for
    machines of a cloud, and nothing for all else."""

    walltime: Annotated[Duration, Field(gt=0)] | None = None
    """Seconds, or ``"HH:MM:SS"``, after which a block ends; no task is started in it that cannot end before. None
    sets no end; the block's own scheduler may."""

    @property
    def default_image(self) -> Image:
        """Image of an executor of this provider that names none; the bare node for none."""
        return NO_IMAGE

    def traits(self) -> Traits:
        """Traits of all blocks started with these settings; no SDK is imported and no system is asked."""
        return Traits()

    def managers_per_block(self) -> int:
        """Managers that a block has once all its nodes have come; a provider with a launcher asks that."""
        return self.nodes_per_block

    @property
    def node_gpus(self) -> float:
        """GPUs of a node, as far as it is known."""
        return 0.0

    def billing(self) -> Billing:
        """Cost of a block, as far as it is known before there is one; no system is asked."""
        traits = self.traits()
        node = Rate(self.price_per_hour or 0.0, traits.cores or 0.0, self.node_gpus)
        return Billing(node.times(self.nodes_per_block), poll_period=Seconds(traits.poll_period + 1.0))

    def site(self) -> Site | None:
        """Site of the blocks, where the interchange can run; None: they are reached in another way. Pure."""
        return None

    def refuse_options(self, given: Collection[str]) -> None:
        """Refuse options of an executor, *given* by the user, that mean nothing with this provider.

        Raises:
            ValueError: names one, and what to do.
        """

    def for_image(self, image: Image) -> Self:  # noqa: ARG002 - for subclasses
        """These settings where blocks run *image*: its options in place of those of the same meaning. Pure.

        A provider of containers returns a copy, so that `traits` and `visible_files` of that are true for the image.
        """
        return self

    def for_fresh_tasks(self) -> Self:
        """These settings for a block for each task, of which one is kept ready; none starts before a task. Pure."""
        warm = max(1, self.warm_blocks)
        most = self.max_blocks + warm - self.warm_blocks
        return self.model_copy(
            update={"init_blocks": 0, "min_blocks": 0, "warm_blocks": warm, "max_blocks": most},
        )

    def on_bare_nodes(self) -> ProviderSettings:
        """These settings if they run on bare nodes; else as many blocks of plain processes on this machine. Pure."""
        traits = self.traits()
        if traits.runs_bare or not traits.runs_images:
            return self
        return LocalProvider(**{name: getattr(self, name) for name in ProviderSettings.model_fields if name != "kind"})

    def refuse_site(self, site: Site) -> None:
        """Refuse an interchange at *site*, which is that of these settings, if some blocks cannot reach it.

        Raises:
            ValueError: names what cannot, and what to do.
        """

    def visible_files(self, folders: Sequence[str]) -> VisibleFiles | None:  # noqa: ARG002 - for subclasses
        """Files that tasks and driver both see; None: all of them, under the same paths. No system is asked.

        Args:
            folders: absolute paths of the folders of the run and of the script, which blocks should see.
        """
        return None

    @field_validator("nodes_per_block")
    @classmethod
    def _nodes_are_there(cls, value: int) -> int:
        if cls.max_nodes is not None and value > cls.max_nodes:
            raise ValueError(f"{value}: a block of {cls.__name__} has {cls.max_nodes} node. Set max_blocks instead")
        return value

    @model_validator(mode="before")
    @classmethod
    def _max_covers_init(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user passed
        if isinstance(data, dict) and "max_blocks" not in data:
            wanted = [data.get(name, 0) for name in ("init_blocks", "min_blocks")]
            most = max((n for n in wanted if isinstance(n, int)), default=0)
            warm = data.get("warm_blocks", 0)
            return {**data, "max_blocks": max(1, most) + (warm if isinstance(warm, int) else 0)}
        return data

    @model_validator(mode="after")
    def _blocks_are_in_order(self) -> ProviderSettings:
        names = ("min_blocks", "init_blocks", "warm_blocks")
        if more := [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) > self.max_blocks]:
            raise ValueError(f"{' and '.join(more)} may not be more than max_blocks={self.max_blocks}")
        return self


class LocalProvider(ProviderSettings):
    """Blocks are plain processes on this machine, no container around them.

    With `nodes_per_block`, the launcher starts a manager for each node: by default side by side on this machine; on the
    nodes of a batch job in which the script runs, by a launcher such as ``SrunLauncher()``.
    """

    backend: ClassVar[str] = "cnflow.providers.local.provider:LocalBackend"
    kind: Literal["local"] = "local"
    python: PathText | None = None
    """Path of the interpreter that runs the workers: Python 3.8 or newer with nothing installed; None is this one."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Variables added to the workers' environment."""

    worker_init: str = ""
    """Shell commands that run before the workers, in the same shell, such as ``module load`` or ``source``."""

    launcher: AnyLauncher = Field(default_factory=SingleNodeLauncher)
    """Starts a manager on each node of a block: settings, a kind such as ``"srun"``, or a function."""

    def traits(self) -> Traits:
        """Traits of processes on this machine."""
        return Traits(
            logs=LogsVia.SHARED_FILE,
            nodes=NodesVia.LAUNCHER,
            poll_period=Seconds(0.2),
            cores=usable_cores(),
        )

    def managers_per_block(self) -> int:
        """Those that the launcher starts."""
        return self.launcher.managers(self.nodes_per_block)


# Options with a size: `create_host_config` in https://docker-py.readthedocs.io/en/stable/api.html
_DOCKER_SIZES = {"kernel_memory", "mem_limit", "mem_reservation", "memswap_limit", "shm_size"}
_DOCKER_SIZE = re.compile(r"-?\d+(\.\d+)?([bkmgt]b?)?", re.ASCII | re.IGNORECASE)
PullPolicy = Literal["missing", "always", "never"]
GpuRequest = Annotated[int, Field(ge=-1)] | list[str] | None


class DockerProvider(ProviderSettings):
    """Blocks are containers of a Docker or Podman engine (``pip install 'cnflow[docker]'``), here or remote."""

    backend: ClassVar[str] = "cnflow.providers.docker.provider:DockerBackend"
    max_nodes: ClassVar[int | None] = 1
    extra: ClassVar[str] = "docker"
    packages: ClassVar[tuple[str, ...]] = ("docker",)
    kind: Literal["docker"] = "docker"
    host: str | None = None
    """Address of the engine, e.g. ``ssh://me@big``; None follows the variable of the engine, DOCKER_HOST or
    CONTAINER_HOST, and then its usual sockets."""

    engine: EngineName | None = None
    """``docker``, or ``podman`` by its Docker-compatible socket (``podman system service``); another one at that
    address is an error. None takes either: what DOCKER_HOST or CONTAINER_HOST names, else Docker if its socket is
    there, else Podman."""

    pull: PullPolicy = "missing"
    """Moment to pull the image: when the engine lacks it, before each run, or never."""

    network: str | None = None
    """Name of an engine's network, or ``host``; None uses the engine's default bridge."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Variables set in the container, on top of the image's."""

    mounts: dict[str, str] = Field(default_factory=dict)
    """Path on the engine's machine or volume name -> path in the container, which may end in ``:ro``. ``~`` and
    variables of the first are this machine's, as in a shell's ``docker run -v``."""

    mount_folders: bool | None = None
    """Mount the folder of the run, and the one in which it was loaded, at their own paths, and run containers as the
    user of the script, to whom their files then belong. None does so if the engine is reached by a socket file of this
    machine. True is for an engine elsewhere that sees the same files under the same paths."""

    cpus: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """CPUs that the container may use; also what `cores_per_worker` divides."""

    memory: MemorySize | None = None
    """Bytes, or a number with a unit: ``4g`` and ``4GiB`` are 4 x 2**30, ``4GB`` is 4 x 10**9; the container is killed
    beyond it."""

    gpus: GpuRequest = None
    """Number of GPUs, -1 for all, or a list of device ids."""

    user: str | None = None
    """User, or ``uid:gid``, inside the container; None is the script's where `mount_folders` applies, else the
    image's."""

    create: dict[str, Any] = Field(default_factory=dict)
    """Further options for ``docker.containers.create``, passed through as they are, e.g. ``{"shm_size": "1g"}``."""

    @field_validator("mounts", mode="after")
    @classmethod
    def _mounts_are_paths(cls, mounts: dict[str, str]) -> dict[str, str]:
        for source, target in mounts.items():
            if not target.startswith("/"):
                raise ValueError(f"{source!r} is to be mounted at {target!r}; write an absolute path in the container")
        return {expand_path(source): target for source, target in mounts.items()}

    @field_validator("create", mode="after")
    @classmethod
    def _sizes_can_be_read(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in _DOCKER_SIZES & options.keys():
            size = options[name]
            if isinstance(size, str) and not _DOCKER_SIZE.fullmatch(size.strip()):
                raise ValueError(
                    f"{name}={size!r} is no size for Docker: write bytes, or a text such as '512m' or '4g'"
                )
        return options

    def traits(self) -> Traits:
        """Traits of containers of one engine."""
        return Traits(
            runs_images=True,
            delivery=Delivery.PUT_FILE,
            capsule=CapsuleVia.MOUNT if self.engine_address().is_local else CapsuleVia.PUT,
            logs=LogsVia.FOLLOWED,
            poll_period=Seconds(1.0),
            cores=self.cpus,
        )

    @property
    def node_gpus(self) -> float:
        """Those of the container; of ``gpus=-1`` the number is not known here."""
        return float(len(self.gpus) if isinstance(self.gpus, list) else max(0, self.gpus or 0))

    def for_image(self, image: Image) -> Self:
        """The same with the options of *image*."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        changed = options_for(image, own)
        return self.model_copy(update=changed) if changed else self

    @property
    def memory_limit(self) -> str | int | None:
        """Memory beyond which a container is killed, as the user wrote it; None without a limit."""
        return self.memory or self.create.get("mem_limit")

    @property
    def shares_folders(self) -> bool:
        """Folders of this machine are mounted into containers; see `mount_folders`."""
        return self.engine_address().is_local if self.mount_folders is None else self.mount_folders

    def engine_address(self) -> EngineAddress:
        """Address of the engine: by `host`, else by variables and sockets of this machine, as `engine` says."""
        return find_engine(self.host, self.engine)

    def folders_to_mount(self, folders: Sequence[str]) -> tuple[str, ...]:
        """Those of *folders* that are mounted at their own paths; one that lies in another comes with it."""
        return mountable(folders, targets_of(self.mounts, self.create)) if self.shares_folders else ()

    def visible_files(self, folders: Sequence[str]) -> VisibleFiles:
        """Folders that are mounted; files elsewhere in a container end with it."""
        others = tuple(path for path, lasts in targets_of(self.mounts, self.create).items() if lasts)
        advice = "Use a path there, or mount its folder: DockerProvider(mounts={'/FOLDER': '/FOLDER'})."
        if not self.shares_folders:
            advice = (
                "Its engine is not taken to see this machine's files. Mount folders of the engine's machine by "
                "DockerProvider(mounts=...), or set mount_folders=True if both machines see the same files."
            )
        return VisibleFiles(self.folders_to_mount(folders), others, advice)

"""Requests for blocks, and settings of the interchange that their managers connect to. No I/O."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnflow.addresses import in_url, is_ip, is_own
from cnflow.config.ways import Listen
from cnflow.executors.high_throughput.ways import folder_of, listen_settings, tunnel_address
from cnflow.model.block import BlockRequest
from cnflow.model.image_parts import SECRETS_FOLDER
from cnflow.model.interchange_settings import InterchangeSettings
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.visible_files import enclosing_folder
from cnflow.run_logs.files import BLOCKS_ELSEWHERE
from cnflow.tasks.script_arguments import sendable
from cnflow.tasks.slots import slot_count
from cnflow.units import GIB

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.config import HighThroughputExecutor
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.ids import BlockId, RunId
    from cnflow.interfaces import RunContext
    from cnflow.model.image import Image
    from cnflow.model.visible_files import VisibleFiles
    from cnflow.wire.keys import Keyring


_BLOCKS_OF_A_PARTITION = 3
_LARGEST_MESSAGE = 2**26
"""Bytes of one frame from a manager: results above 1 MiB travel in pieces, and many small ones in several messages."""


class ManagerEndpoint(NamedTuple):
    """Address and keys of an interchange, for its managers."""

    hosts: Collection[str]
    """Addresses of the interchange, or of the near end of a tunnel; empty for a socket file, and where managers listen.
    """

    endpoint: str
    """URL; holds ``{host}`` in the place of one of the hosts. Where managers listen, the folder of their addresses."""

    keys: Keyring | None
    """None for a plain socket."""


def block_log_folder(settings: HighThroughputExecutor, log_dir: Path) -> Path:
    """Make and return the folder of the blocks' logs: *log_dir*, or one of the run in the folder of the settings."""
    folder = log_dir
    if settings.block_log_dir is not None:
        folder = Path(settings.block_log_dir).absolute() / log_dir.parent.name / log_dir.name
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # a file system without links: `cnflow logs` does not find them then
            (log_dir / BLOCKS_ELSEWHERE).symlink_to(folder)
    return folder


class BlockContext(NamedTuple):
    """Values that the requests for all blocks of one executor share."""

    settings: HighThroughputExecutor
    run: RunId
    """Label of everything that a block makes outside the driver."""

    log_dir: Path
    """Folder of the blocks' logs."""

    endpoint: ManagerEndpoint
    adoptable_for: float = 0.0
    """Seconds for which managers outlive a killed driver."""

    sends_events: bool = False
    """Managers collect events, since the run has sinks."""

    sample_interval: float | None = None
    """As in `RunContext`."""

    log_size: int = 0
    """Bytes of a block's log; 0 is no limit."""

    json_logs: bool = False
    """Each line of it is JSON."""

    folder: str = ""
    """The driver's folder when the run was loaded."""

    secrets: Mapping[str, str] = {}
    """Texts of the image's secrets by name."""

    image: Image | None = None
    """The image by what its provider was asked to prepare, such as a digest; None is that of `settings`."""

    driver_memory: str = ""
    """By which managers find out whether they share memory with this process; empty where they do not."""

    def request(self, block: BlockId) -> BlockRequest:
        """The request for *block*, with the settings of its managers."""
        settings, provider = self.settings, self.settings.provider
        return BlockRequest(
            self.run,
            settings.label,
            block,
            settings.image if self.image is None else self.image,
            self._manager(block),
            self.log_dir / f"block-{block}.log",
            nodes=provider.nodes_per_block,
            walltime=provider.walltime,
            folder=self.folder,
            shared_folders=self._shared_folders,
        )

    @property
    def _shared_folders(self) -> tuple[str, ...]:
        return str(self.log_dir.parent), self.folder

    @property
    def _visible_folder(self) -> str:
        """Folder of the logs, of which there is no second one, if the provider mounts it into blocks."""
        visible = self.settings.provider.visible_files(self._shared_folders)
        is_mounted = visible is not None and enclosing_folder(str(self.log_dir), visible.own)
        return str(self.log_dir) if is_mounted else ""

    def _secrets(self, delivery: str) -> dict[str, str]:
        folder = f"{SECRETS_FOLDER}/" if delivery == "file" else ""
        wanted = self.settings.image.secrets
        return {f"{folder}{name}": text for name, text in self.secrets.items() if wanted[name].delivery == delivery}

    def _manager(self, block: BlockId) -> ManagerSettings:
        settings, (hosts, endpoint, keys) = self.settings, self.endpoint
        own = keys.block_keys(block) if keys else None
        return ManagerSettings(
            hosts=tuple(hosts),
            endpoint="" if folder_of(endpoint) else endpoint,
            listen=listen_settings(settings.way, endpoint),
            tunnel=tunnel_address(settings.way, endpoint),
            server_key=keys.server.public if keys else "",
            public_key=own.public if own else "",
            secret_key=own.secret if own else "",
            executor=settings.label,
            block=block,
            nodes=settings.provider.managers_per_block(),
            image=str(settings.image),
            max_workers=_most_workers(settings),
            cores_per_worker=settings.cores_per_worker,
            mem_per_worker=settings.mem_per_worker,
            available_accelerators=accelerators(settings),
            cpu_affinity=settings.cpu_affinity,
            prefetch=0 if settings.fresh else settings.prefetch,
            max_tasks=1 if settings.fresh else None,
            heartbeat_period=settings.heartbeat_period,
            heartbeat_threshold=settings.heartbeat_threshold,
            adoptable_for=self.adoptable_for,
            drain_period=settings.drain_period,
            walltime=settings.provider.walltime,
            grace_period=settings.grace_period,
            address_probe_timeout=settings.address_probe_timeout,
            largest_result=settings.max_result_size,
            working_dir=settings.working_dir or "",
            node_cache=settings.node_cache,
            serves_nodes=settings.node_to_node,
            argv=sendable(sys.argv),
            visible_folder=self._visible_folder,
            secret_files=self._secrets("file"),
            secret_variables=self._secrets("environment"),
            sends_events=self.sends_events,
            sample_interval=self.sample_interval,
            log_size=self.log_size,
            json_logs=self.json_logs,
            run=self.run if self.json_logs else "",
            driver_memory=self.driver_memory,
        )


class FilePlaces(NamedTuple):
    """Files of an executor's tasks."""

    working_dir: str
    """Folder on the nodes under which staged files go; relative to that of workers where the driver knows none."""

    visible: VisibleFiles | None
    """Files that tasks and driver both see; None: all."""

    @classmethod
    def of(cls, settings: HighThroughputExecutor, run: RunContext) -> FilePlaces:
        """Return the places of an executor of *run*."""
        visible = settings.provider.visible_files((str(run.run_dir), run.folder))
        folder = settings.working_dir or ""
        if folder and (visible is None or enclosing_folder(run.folder, visible.own)):
            folder = os.path.join(run.folder, folder)  # noqa: PTH118 - strings, as in an executor
        return cls(folder, visible)


def interchange_settings(
    settings: HighThroughputExecutor,
    folder: str,
    hosts: Collection[str | None],
    keys: Keyring | None,
    port: int,
    managers: ConnectedManagers,
) -> InterchangeSettings:
    """Settings with which an executor's interchange is started, or restarted at the same endpoint.

    Args:
        settings: of the executor.
        folder: private folder for socket files.
        hosts: addresses of the interchange; empty for a socket file, or where managers listen.
        keys: None for a plain socket.
        port: port of the interchange before this one; 0 if there was none, or it has no port.
        managers: those of the interchange before this one, and those that may connect.
    """
    return InterchangeSettings(
        session="",  # drawn for each start
        folder=folder,
        manager_endpoint="" if isinstance(settings.way, Listen) else bind_to(hosts) or f"ipc://{folder}/managers",
        ports=(port, port) if port else settings.worker_port_range,
        secret_key=keys.server.secret if keys else "",
        blocks=managers.admitted(),
        largest_message=_LARGEST_MESSAGE,
        awaited={manager.hex(): block for manager, block in managers.awaited().items()},
        is_restart=bool(managers.adopted),
        is_adoption=bool(managers.adopted),
        keeps_unknown=managers.has_adopted,
        is_adoptable=managers.are_adoptable,
        departed={manager.hex(): block for manager, block in managers.departed().items()},
        sure_after=blocks_to_see(settings),
        most_spooled=settings.detached_storage,
        heartbeat_period=settings.heartbeat_period,
        heartbeat_threshold=settings.heartbeat_threshold,
    )


def blocks_to_see(settings: HighThroughputExecutor) -> int:
    """Return the blocks to see before a task fits no node: one where settings fix the nodes, else up to three."""
    if settings.provider.traits().cores is not None:
        return 1
    return max(1, min(settings.provider.max_blocks, _BLOCKS_OF_A_PARTITION))


def expected_slots(settings: HighThroughputExecutor) -> int:
    """Return the workers expected of a node until the first manager has connected.

    Where a node's cores are unknown the answer is `max_workers`, or one, as in Parsl.
    """
    most = _most_workers(settings)
    cores = settings.provider.traits().cores
    if cores is None:
        return most or 1
    plenty = (settings.mem_per_worker or 0.0) * GIB * (most or cores / settings.cores_per_worker + 1)
    return slot_count(cores, plenty, settings.cores_per_worker, settings.mem_per_worker, most)


def short_life(settings: HighThroughputExecutor) -> str:
    """Return a warning if blocks live too short for the grace period of their tasks; empty if they do not."""
    walltime, grace = settings.provider.walltime, settings.grace_period
    if walltime is None or grace <= walltime / 4:
        return ""
    return (
        f"Blocks of executor {settings.label!r} end after walltime={walltime:g} s, so that tasks that run then have "
        f"only {walltime / 4:.0f} s, a quarter of it, to end, instead of grace_period={grace:g} s. Set a longer "
        "walltime of the provider, or a shorter grace_period."
    )


def accelerators(settings: HighThroughputExecutor) -> tuple[str, ...]:
    """Names of the accelerators of a node."""
    given = settings.available_accelerators
    return tuple(map(str, range(given))) if isinstance(given, int) else tuple(given)


def _most_workers(settings: HighThroughputExecutor) -> int | None:
    if settings.fresh:
        return 1
    limits = [limit for limit in (settings.max_workers, len(accelerators(settings)) or None) if limit is not None]
    return min(limits, default=None)


def bind_to(hosts: Collection[str | None]) -> str:
    """Endpoint to listen at: the one address that managers use, or all if there are several.

    Also all if the one is not this machine's: it may be forwarded to it.
    """
    if not hosts:
        return ""
    only = next(iter(hosts)) or ""
    if len(hosts) == 1 and is_ip(only) and is_own(only):  # a name may stand for several
        return f"tcp://{in_url(only)}"
    return "tcp://[::]" if any(":" in (host or "") for host in hosts) else "tcp://*"

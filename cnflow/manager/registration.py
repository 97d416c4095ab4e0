"""Finds the address of the interchange, and describes the manager in its registration."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from typing import TYPE_CHECKING

import cnflow
from cnflow.addresses import first_reachable, in_url
from cnflow.ids import BlockId
from cnflow.manager.errors import ManagerStartError
from cnflow.manager.node import hardware
from cnflow.manager.node.shared_memory import shares_memory
from cnflow.model.manager_settings import PROTOCOL
from cnflow.model.packages import digest_of_packages, installed_packages
from cnflow.units import GIB, Seconds
from cnflow.wire.manager_messages import ManagerInfo, Node
from cnflow.wire.serialization import MINOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.model.manager_settings import ManagerSettings


_NODE_RANKS = (
    # Variables in which launchers give each process its number, from 0. The first is cnflow's own, for `worker_init`.
    "CNFLOW_NODE_RANK",
    "SLURM_PROCID",  # https://slurm.schedmd.com/srun.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
    "OMPI_COMM_WORLD_RANK",  # https://docs.open-mpi.org/en/v5.0.x/tuning-apps/environment-var.html
    "PMIX_RANK",
    "PMI_RANK",  # MPICH, Intel MPI, Cray PALS
    "PALS_RANKID",
    "ALPS_APP_PE",
    "JSM_NAMESPACE_RANK",  # jsrun of Spectrum LSF
    "FLUX_TASK_RANK",
)


class UnreachableError(ManagerStartError):
    """No address of the interchange accepts a connection from this node."""


def find_endpoint(settings: ManagerSettings) -> str:
    """Return the ZeroMQ endpoint with the first address of the interchange that accepts a connection.

    Raises:
        UnreachableError: none accepts one within the settings' time.
    """
    if not settings.hosts:
        return settings.endpoint
    port = int(settings.endpoint.rsplit(":", 1)[1])
    within = Seconds(max(min(settings.address_probe_timeout, settings.heartbeat_threshold), settings.adoptable_for))
    host = first_reachable(settings.hosts, port, within)
    if host is None:
        raise UnreachableError(_describe_unreachable(settings, port, within))
    return settings.endpoint.format(host=in_url(host))


def _describe_unreachable(settings: ManagerSettings, port: int, within: Seconds) -> str:
    if settings.tunnel:
        return (
            f"the near end of the tunnel, {settings.tunnel} on this node, accepts no connection within {within:g} s. "
            "Start the tunnel, or let Tunnel(command=...) do that; tunnel.log in the folder of the executor has the "
            "words of such a command"
        )
    return (
        f"the interchange answers at none of {', '.join(settings.hosts)}, port {port}, within {within:g} s. "
        "Set HighThroughputExecutor(address=...) to an address that this host can reach. If nodes may not connect to "
        "that machine at all, set way=Listen(), with which it connects to them, or way=Tunnel(...)"
    )


def node_rank(environment: Mapping[str, str]) -> int:
    """Number of this manager's node within its block, from 0, as the block's launcher has set it; 0 without one."""
    for name in _NODE_RANKS:
        value = environment.get(name, "").strip()
        if value.isascii() and value.isdigit():
            return int(value)
    return 0


def worker_minor(settings: ManagerSettings) -> str:
    """Minor version of the Python that the workers run, such as ``3.11``; the manager may run another."""
    return ".".join(settings.worker_version.split(".")[:2]) or MINOR


def manager_info(settings: ManagerSettings, workers: int, life: float, left: float) -> ManagerInfo:
    """Describe this manager of *workers* workers and its node, whose block has *left* of its *life* seconds left."""
    node = Node(
        hardware.core_count(),
        int(hardware.memory_bytes()),
        len(settings.available_accelerators),
        settings.cores_per_worker,
        int((settings.mem_per_worker or 0.0) * GIB),
        life,
        left,
    )
    return ManagerInfo(
        PROTOCOL,
        cnflow.__version__,
        worker_minor(settings),
        socket.gethostname(),
        BlockId(settings.block),
        settings.image,
        workers,
        os.getpid(),
        settings.worker_version or platform.python_version(),
        node,
        node_rank(os.environ),
        settings.nodes,
        "" if settings.image else digest_of_packages(installed_packages()),
        shares_memory(settings.driver_memory),
    )


def place_of(settings: ManagerSettings) -> str:
    """Return the place of this manager, for messages: image, host and block."""
    image = f"image {settings.image}, " if settings.image else ""
    return f"{image}host {socket.gethostname()}, block {settings.block}"


def remove_deserted_folder(endpoint: str) -> None:
    """Remove the folder of the interchange's socket file unless somebody listens there."""
    path = endpoint[len("ipc://") :] if endpoint.startswith("ipc://") else ""
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        try:
            end.connect(path)
        except ConnectionRefusedError:
            shutil.rmtree(os.path.dirname(path), ignore_errors=True)  # noqa: PTH120 - text, as the endpoint
        except OSError:
            return  # it is gone, or somebody listens

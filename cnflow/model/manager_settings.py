"""Settings of a manager: one file, written by the driver and delivered by the provider when a block starts."""

from __future__ import annotations

from typing import Optional

import msgspec

PROTOCOL = 20
"""Version of the messages in `cnflow.wire`; must change with them (a test compares)."""

BLOCK_ENDS_AT = "CNFLOW_BLOCK_ENDS_AT"
"""Environment variable of a block: Unix time in seconds at which the block ends. Managers know no batch system."""

NO_WORKER_STARTS = 4
"""Exit code of a manager whose workers die as they start, or whose node lets none be started."""


class ListenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Ports and folder of managers that listen, and to which the interchange connects."""

    folder: str
    """Each manager writes its address into a file here, which the driver reads."""

    ports: Optional[tuple[int, int]] = None
    """First and last TCP port to try; None takes any free ones. A manager takes two."""

    interface: str = ""
    """Network interface whose address is used alone; empty for all."""


class ManagerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that a manager knows before it connects. Holds keys: the file has mode 0600, never argv or environment."""

    hosts: tuple[str, ...]
    """Addresses of the interchange, likeliest first; all are tried. Empty if `endpoint` is not TCP."""

    endpoint: str
    """ZeroMQ endpoint of the interchange, with ``{host}`` in place of one of `hosts`."""

    listen: Optional[ListenSettings] = None
    """The manager listens, and `hosts` and `endpoint` are empty; None for one that connects to the interchange."""

    tunnel: str = ""
    """Address of the near end of a tunnel, which leads to the interchange and is `endpoint`; empty without one."""

    server_key: str = ""
    """Public CURVE key of the interchange, Z85; empty for a plain socket."""

    public_key: str = ""
    """Public key of this block, Z85."""

    secret_key: str = ""
    """Secret key of this block, Z85."""

    executor: str
    block: str
    """Empty where all blocks share these settings, as the pods of a Deployment do: then that of the host's name."""

    nodes: int = 1
    """Nodes of the block, on each of which a manager is started."""

    image: str = ""
    """Image as the user wrote it; empty on the bare node."""

    max_workers: Optional[int] = None
    """Upper limit of workers on one node; None limits them by cores and memory alone."""

    cores_per_worker: float = 1.0
    mem_per_worker: Optional[float] = None
    """GiB that each worker counts for; None ignores memory."""

    available_accelerators: tuple[str, ...] = ()
    """Names of accelerators; each worker sees the one of its rank, and there are no more workers than names."""

    cpu_affinity: str = "none"
    """Rule that assigns cores to workers; see `cnflow.manager.node.pinning`."""

    prefetch: Optional[int] = None
    """Tasks that may wait in a manager besides those that run; None adapts to the length of tasks."""

    max_tasks: Optional[int] = None
    """Tasks that the manager takes in all; it drains after the last. None takes any number."""

    heartbeat_period: float = 30.0
    """Seconds."""

    heartbeat_threshold: float = 120.0
    """Seconds without a message after which the peer is taken for dead; a manager then ends itself."""

    adoptable_for: float = 0.0
    """Seconds without a message for which the manager waits for another driver, if longer than the threshold."""

    drain_period: Optional[float] = None
    """Seconds from its start after which a manager accepts no more tasks; None for no limit."""

    walltime: Optional[float] = None
    """Seconds from its start after which the block ends; None if that is not known."""

    grace_period: float = 8.0
    """Seconds that running tasks have once the manager is ordered to end, or its block is about to."""

    address_probe_timeout: float = 30.0
    """Seconds within which one of `hosts` must answer; never more than `heartbeat_threshold`."""

    largest_result: int = 2**32
    """Bytes of one message frame of a result. The interchange disconnects a peer that sends a larger one."""

    working_dir: str = ""
    """Folder in which workers start; empty for that of the manager."""

    node_cache: Optional[int] = None
    """Bytes on its node of contents that no task uses; None follows from the node's disk and memory."""

    serves_nodes: bool = True
    """Listen for other managers, which fetch directly what tasks have left on this node."""

    worker_python: str = ""
    """Interpreter of the workers, 3.8 or newer; empty for the one that runs the manager."""

    worker_version: str = ""
    """Version of `worker_python`, such as ``3.8.18``; empty with it."""

    argv: tuple[str, ...] = ()
    """Command line of the user's script, for `sys.argv` of workers."""

    visible_folder: str = ""
    """Folder of the driver that the manager must see; empty where files are not shared, or need no look."""

    secret_files: dict[str, str] = {}
    """Path in the container -> text that the manager writes there, for its user alone."""

    secret_variables: dict[str, str] = {}
    """Variables of the workers with the texts of secrets."""

    sends_events: bool = False
    """Collect events of the workers and send them once a second; the run has sinks."""

    sample_interval: Optional[float] = None
    """Seconds between samples of what running tasks and the node use; 0 measures a task at its end alone, and None
    measures nothing."""

    log_size: int = 0
    """Bytes of the block's log and its older part, where the manager writes to a file itself; 0 is no limit."""

    json_logs: bool = False
    """Write each line of the block's log as JSON, with run, executor, block, worker and task."""

    run: str = ""
    """Id of the run, in each of these lines."""

    driver_memory: str = ""
    """File of the driver's process, and the text in it, which only a manager of the same machine can read."""

    @property
    def longest_silence(self) -> float:
        """Seconds without a message from the interchange after which the manager ends itself."""
        return max(self.heartbeat_threshold, self.adoptable_for)

    def with_worker_python(self, executable: str, version: str) -> ManagerSettings:
        """Return these settings for workers that another interpreter runs than the manager."""
        return msgspec.structs.replace(self, worker_python=executable, worker_version=version)

    def for_host(self, host: str) -> ManagerSettings:
        """Return these settings for a manager on *host*, which names a block that has no name."""
        return self if self.block else msgspec.structs.replace(self, block=host)

    def to_json(self) -> bytes:
        """Content of the settings file."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> ManagerSettings:
        """Parse the content of a settings file.

        Raises:
            msgspec.ValidationError: *data* is not one of this version.
        """
        return msgspec.json.decode(data, type=cls)

"""Process of ``cnflow pool serve``: pools, the files that drivers read, and the answers to status and probes.

::

    serve ──> lock FOLDER ──> keys, ports ──> pool.json ──> a keeper for each pool ──> wait ──> all end ──> unlock
                                                            control socket, HTTP        │
                                              SIGTERM, SIGINT, `cnflow pool stop` ──────┘
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from typing import TYPE_CHECKING, Any

from cnflow import __version__
from cnflow.assemble import make_run_dir
from cnflow.control_socket import FILE, ControlServer
from cnflow.dataflow.call_folder import current_folder
from cnflow.errors import ConfigurationError
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.ledger import RunLedger, new_driver
from cnflow.model.manager_settings import PROTOCOL
from cnflow.model.pool_files import PoolDirectory
from cnflow.worker_pool.factory import ClientsEnd, make_deployment_pool, make_pool
from cnflow.worker_pool.folder import pool_addresses
from cnflow.worker_pool.keeper import PoolKeeper
from cnflow.worker_pool.keys import server_keys
from cnflow.worker_pool.probes import ProbeServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config.worker_pool import PoolServer, WorkerPool
    from cnflow.model.pool_files import PoolAddress
    from cnflow.wire.keys import KeyPair
    from cnflow.worker_pool.deployments.release import ClientKeysMirror, ReleaseObjects
    from cnflow.worker_pool.folder import ServerFolder
    from cnflow.worker_pool.pool import LivePool
    from cnflow.worker_pool.status import PoolStatus

logger = logging.getLogger(__name__)


class Server:
    """Serves the pools of one configuration, from `start` to `close`.

    Args:
        settings: of the server.
        folder: its own; made, and locked by the caller.
    """

    def __init__(self, settings: PoolServer, folder: ServerFolder) -> None:
        self._settings = settings
        self._folder = folder
        self._release = _connect_release(settings)
        keys = server_keys(folder.path) if self._release is None else self._release.server_keys()
        addresses = pool_addresses(settings, keys.public, folder.read_directory())
        self._keepers = [
            self._keeper(pool, address, keys) for pool, address in zip(settings.pools, addresses, strict=True)
        ]
        self._control = ControlServer(folder.path, self._reply)
        self._http: ProbeServer | None = None
        self._mirror: ClientKeysMirror | None = None
        self._ending = threading.Event()

    def start(self) -> None:
        """Begin to start all pools.

        Raises:
            ConfigurationError: the port of probes cannot be used.
        """
        if self._settings.http_port:
            self._http = ProbeServer(self._settings.http_listen, self._settings.http_port, self.statuses)
            self._http.start()
        addresses = tuple(keeper.address for keeper in self._keepers)
        directory = PoolDirectory(pools=addresses)
        self._folder.write_directory(directory)
        if self._release is not None:
            self._mirror = self._release.mirror_client_keys(self._folder.clients)
            self._mirror.start()
            self._release.write_directory(directory)
        self._control.open()
        for keeper in self._keepers:
            keeper.start()

    def wait(self) -> None:
        """Wait until the server is to end."""
        self._ending.wait()

    def order_end(self) -> None:
        """Make `wait` return; safe in a signal handler."""
        self._ending.set()

    def close(self) -> None:
        """End all pools, with their blocks."""
        for keeper in self._keepers:
            keeper.order_end()
        for keeper in self._keepers:
            keeper.join()
        for part in (self._http, self._mirror):
            if part is not None:
                part.close()
        self._control.close()

    def statuses(self) -> list[PoolStatus]:
        """State of each pool; safe from any thread."""
        return [keeper.status() for keeper in self._keepers]

    def _reply(self, question: dict[str, Any]) -> dict[str, Any]:
        match question.get("ask"):
            case "status":
                return {"pid": os.getpid(), "pools": [status.as_dict() for status in self.statuses()]}
            case "stop":
                self.order_end()
                return {"pid": os.getpid()}
            case other:
                raise ConfigurationError(f"A pool server has no answer to {other!r}.")

    def _keeper(self, pool: WorkerPool, address: PoolAddress, keys: KeyPair) -> PoolKeeper:
        settings, folder = self._settings, self._folder
        clients = ClientsEnd(
            f"tcp://{settings.listen}",
            address.clients_port,
            keys.secret,
            folder.clients,
            settings.client_timeout,
        )

        def make() -> LivePool:
            run = _new_run(settings, pool, folder)
            if pool.deployment is None:
                return make_pool(pool, run, clients)
            assert self._release is not None  # the settings see to that
            return make_deployment_pool(
                pool, run._replace(adoptable_for=settings.client_timeout), clients, self._release
            )

        return PoolKeeper(address, make)


def _connect_release(settings: PoolServer) -> ReleaseObjects | None:
    """Connect with the cluster of the release; None for a server without one.

    Raises:
        ClusterRejectedError: there is no cluster.
    """
    if settings.release is None:
        return None
    from cnflow.worker_pool.deployments.release import ReleaseObjects  # noqa: PLC0415 - the client of Kubernetes

    return ReleaseObjects.connect(settings.release)


def _new_run(settings: PoolServer, pool: WorkerPool, folder: ServerFolder) -> RunContext:
    """Context for one start of *pool*, with a folder and a ledger of its own."""
    run_dir = make_run_dir(folder.runs)
    run = RunId(uuid.uuid4().hex[:12])
    return RunContext(
        run=run,
        run_dir=run_dir,
        strategy=settings.strategy,
        max_idletime=settings.max_idletime if pool.max_idletime is None else pool.max_idletime,
        ledger=RunLedger(run_dir, new_driver(run, 0, __version__, PROTOCOL)),
        log_size=settings.log_size or 0,
        local_packages=tuple(pool.local_packages),
        folder=current_folder(),
    )


def run_server(settings: PoolServer, folder: ServerFolder, before: Callable[[], None]) -> None:
    """Serve the pools of *settings* until SIGTERM, SIGINT or `cnflow pool stop`; for the main thread.

    Args:
        settings: of the server.
        folder: its own.
        before: called once the folder is locked, before the pools start.

    Raises:
        ConfigurationError: a server runs in *folder*, or *settings* cannot work.
    """
    with folder.locked():
        (folder.path / FILE).unlink(missing_ok=True)  # of a server that was killed
        before()
        server = Server(settings, folder)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.order_end())
        try:
            server.start()
            logger.info("pool server %d serves %s", os.getpid(), ", ".join(pool.label for pool in settings.pools))
            server.wait()
            logger.info("pool server %d ends", os.getpid())
        finally:
            server.close()

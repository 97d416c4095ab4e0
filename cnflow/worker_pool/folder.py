"""Folder of a pool server: its keys, the list of its pools, its log, and a folder for each start.

::

    FOLDER (0700) ── server.key, clients/*.key        see `cnflow.worker_pool.keys`
                  ── pool.json                        ports, images and public keys, for drivers
                  ── server.log                       of the server process
                  ── live                             socket for `cnflow pool status` and `stop`
                  └─ runs/NNN/POOL/                   logs of interchanges and blocks, ledger of the blocks
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import stat
from typing import TYPE_CHECKING

import msgspec

from cnflow.config.paths import path_argument
from cnflow.control_socket import ask
from cnflow.errors import ConfigurationError
from cnflow.model.pool_files import DIRECTORY_FILE, PoolAddress, PoolDirectory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path
    from typing import Any

    from cnflow.config.worker_pool import PoolServer

logger = logging.getLogger(__name__)

_LOCK = "lock"
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_EVERYWHERE = frozenset({"0.0.0.0", "::", "[::]", "*"})  # noqa: S104 - compared with, not bound to


class ServerFolder:
    """Paths in the folder of one server, and the questions to the server that runs there.

    Args:
        path: of the folder; made by `make`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path_argument(path, "folder").absolute()
        self.clients = self.path / "clients"
        self.runs = self.path / "runs"
        self.log = self.path / "server.log"
        self.directory_file = self.path / DIRECTORY_FILE

    def make(self) -> None:
        """Make the folder, for its user alone; nobody else may write to one that exists.

        One of another owner, such as a volume of a pod, stays as it is.

        Raises:
            ConfigurationError: it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.clients.mkdir(mode=0o700, exist_ok=True)
            for folder in (self.path, self.clients):
                _take_from_others(folder)
        except OSError as error:
            raise ConfigurationError(f"The folder {self.path} of the pool cannot be made: {error}.") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of a server within the block.

        Raises:
            ConfigurationError: another process holds it.
        """
        with (self.path / _LOCK).open("w") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigurationError(
                    f"A pool server runs in {self.path} already. See 'cnflow pool status {self.path}', or name another "
                    "folder."
                ) from error
            yield

    def is_free(self) -> bool:
        """Return whether no server runs here."""
        try:
            with self.locked():
                return True
        except ConfigurationError:
            return False

    def ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """Ask the server that runs here; None if none does."""
        try:
            return ask(self.path, question)
        except OSError:
            return None

    def require(self, question: dict[str, Any]) -> dict[str, Any]:
        """Ask the server that runs here.

        Raises:
            ConfigurationError: none does.
        """
        reply = self.ask(question)
        if reply is None:
            raise ConfigurationError(
                f"No pool server runs in {self.path}. Start one by 'cnflow pool start {self.path}', or name its folder."
            )
        return reply

    def read_directory(self) -> PoolDirectory:
        """Pools of the server that ran here last; none if none did."""
        try:
            return PoolDirectory.from_json(self.directory_file.read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError):
            return PoolDirectory()

    def write_directory(self, directory: PoolDirectory) -> None:
        """Write ``pool.json``, in one step."""
        part = self.directory_file.with_suffix(".part")
        part.write_bytes(directory.to_json() + b"\n")
        part.replace(self.directory_file)


def _take_from_others(folder: Path) -> None:
    """Take the right to write to *folder* from all but its owner: whoever adds a file there is a client, or a server.

    Raises:
        OSError: it has another mode, and cannot get this one.
    """
    status = folder.stat()
    if status.st_mode & _WRITABLE and status.st_uid == os.getuid():
        logger.warning("%s could be written to by other users: only its owner may from now on", folder)
        folder.chmod(stat.S_IMODE(status.st_mode) & ~_WRITABLE)


def pool_addresses(settings: PoolServer, server_key: str, before: PoolDirectory) -> list[PoolAddress]:
    """Addresses of the pools for drivers: ports of the settings, those of the start *before*, or free ones.

    Raises:
        ConfigurationError: no port is free.
    """
    ports = {pool.name: pool.clients_port for pool in before.pools}
    taken = {pool.clients_port for pool in settings.pools}
    addresses = []
    for pool in settings.pools:
        port = pool.clients_port or _usable_port(settings.listen, ports.get(pool.label, 0), taken)
        taken.add(port)
        host = pool.address or ("127.0.0.1" if settings.listen in _EVERYWHERE else settings.listen)
        addresses.append(
            PoolAddress(name=pool.label, image=str(pool.image), host=host, clients_port=port, server_key=server_key)
        )
    return addresses


def _usable_port(host: str, wanted: int, taken: Collection[int | None]) -> int:
    """Return *wanted* if it is free, else any free port; 0 wants none."""
    for port in [wanted, *[0] * 10] if wanted and wanted not in taken else [0] * 10:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                end.bind(("::" if host == "[::]" else host.strip("[]"), port))
            except OSError:
                continue
            found: int = end.getsockname()[1]
            if found not in taken:
                return found
    raise ConfigurationError(f"No TCP port is free at {host!r} for drivers. Set listen= to an address of this machine.")

"""Issues and revokes the keys of a pool server's clients, in its folder or in a Kubernetes release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.worker_pool import keys
from cnflow.worker_pool.folder import ServerFolder

if TYPE_CHECKING:
    from cnflow.model.pool_files import PoolDirectory

_KUBERNETES = "kubernetes://"
_CLIENT = ("A pool at kubernetes://...", "kubernetes")
"""Feature and extra of the client of Kubernetes, for a message."""


def issue(name: str, address: str) -> bytes:
    """Issue a key for the client *name*; return the content of its file.

    Raises:
        ConfigurationError: no pool server has its files there, the client has a key, or packages are missing.
        BlockError: the API server of the cluster refuses, or does not answer.
    """
    if is_release(address):
        with MissingExtraError.for_import(*_CLIENT):
            from cnflow.worker_pool.deployments import client_secrets  # the client of Kubernetes is slow to import

        return client_secrets.issue(address, name).to_json()
    folder = ServerFolder(address)
    directory = _directory(folder)
    return keys.issue(folder.clients, name, directory.pools[0].server_key, directory.pools).to_json()


def revoke(name: str, address: str) -> None:
    """Revoke the key of the client *name*; raises as `issue`."""
    if is_release(address):
        with MissingExtraError.for_import(*_CLIENT):
            from cnflow.worker_pool.deployments import client_secrets  # as above

        client_secrets.revoke(address, name)
        return
    folder = ServerFolder(address)
    _directory(folder)
    keys.revoke(folder.clients, name)


def is_release(address: str) -> bool:
    """Return whether *address* is a Helm release in a cluster, not a folder."""
    return address.startswith(_KUBERNETES)


def file_for(name: str, address: str, output: str) -> Path | None:
    """Return the file for a key of *name* that is yet to be issued; None for none.

    Raises:
        ConfigurationError: it exists, or its folder does not: a key that cannot be written would be issued and lost.
    """
    if output == "-" or (is_release(address) and not output):
        return None
    file = Path(output or f"{name}.json")
    if file.exists():
        raise ConfigurationError(f"{file} exists. Remove it if its key is revoked, or name another file by --output.")
    if not file.parent.is_dir():
        raise ConfigurationError(f"The folder {file.parent} does not exist. Make it, or name another file by --output.")
    return file


def write(text: bytes, file: Path) -> Path:
    """Write the content of a key to *file*, for its user alone, and return its absolute path.

    Raises:
        ConfigurationError: *file* cannot be written.
    """
    try:
        keys.write_private(file, text + b"\n")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror or error}.") from error
    return file.absolute()


def _directory(folder: ServerFolder) -> PoolDirectory:
    directory = folder.read_directory()
    if not directory.pools:
        raise ConfigurationError(
            f"No pool server was started in {folder.path}. Start one by 'cnflow pool start {folder.path}', or name its "
            "folder."
        )
    return directory

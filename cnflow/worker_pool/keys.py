"""Keys of a pool server and of its clients, as files in the server's folder.

::

    FOLDER/server.key (0600) ── drawn at the first start, the same ever after
    issue(NAME) ──> FOLDER/clients/NAME.key: public, read by the interchanges ── revoke(NAME): removed, NAME is refused
               └──> `ClientKey`, which the server does not keep
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError
from cnflow.model.pool_files import ClientKey
from cnflow.model.pool_settings import KEY_SUFFIX
from cnflow.wire.keys import KeyPair
from cnflow.wire.sockets import new_key_pair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnflow.model.pool_files import PoolAddress

_SERVER_KEY = "server.key"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.ASCII)


def server_keys(folder: Path) -> KeyPair:
    """Return the server's keys from its folder; drawn and written on the first call.

    Raises:
        ConfigurationError: the file holds something else.
    """
    file = folder / _SERVER_KEY
    try:
        words = file.read_text(encoding="ascii").split()
    except FileNotFoundError:
        pair = KeyPair(*new_key_pair())
        write_private(file, f"{pair.public} {pair.secret}\n".encode())
        return pair
    if len(words) != 2:  # noqa: PLR2004 - a public and a secret key
        raise ConfigurationError(f"{file} holds no keys of a pool server. Remove it to have new ones drawn.")
    return KeyPair(*words)


def issue(clients: Path, name: str, server_key: str, pools: Sequence[PoolAddress]) -> ClientKey:
    """Draw a key for the client *name* and write its public half to the folder *clients*.

    Raises:
        ConfigurationError: the name cannot be used, or has a key.
    """
    check_name(name)
    file = clients / f"{name}{KEY_SUFFIX}"
    key = new_client_key(name, server_key, pools)
    clients.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="ascii") as opened:
            opened.write(f"{key.public}\n")
    except FileExistsError:
        raise ConfigurationError(
            f"The client {name!r} has a key already. Choose another name, or revoke that key first by "
            f"'cnflow pool key {name} {clients.parent} --revoke'."
        ) from None
    return key


def new_client_key(name: str, server_key: str, pools: Sequence[PoolAddress]) -> ClientKey:
    """Draw a key for the client *name*; nothing is written."""
    public, secret = new_key_pair()
    return ClientKey(name=name, public=public, secret=secret, server_key=server_key, pools=tuple(pools))


def revoke(clients: Path, name: str) -> None:
    """Remove the public key of the client *name*: the interchanges disconnect it, and refuse it from now on.

    Raises:
        ConfigurationError: no such client has a key.
    """
    check_name(name)
    try:
        (clients / f"{name}{KEY_SUFFIX}").unlink()
    except FileNotFoundError:
        names = ", ".join(sorted(public_keys(clients))) or "none"
        raise ConfigurationError(f"No client is called {name!r}. Clients with a key: {names}.") from None


def public_keys(clients: Path) -> dict[str, str]:
    """Public keys by the names of their clients."""
    if not clients.is_dir():
        return {}
    files = sorted(clients.glob(f"*{KEY_SUFFIX}"))
    return {file.name.removesuffix(KEY_SUFFIX): file.read_text(encoding="ascii").strip() for file in files}


def check_name(name: str) -> None:
    """Check the name of a client, which names a file, and an object of Kubernetes.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if not is_name(name):
        raise ConfigurationError(
            f"A client cannot be called {name!r}: use lower-case letters, digits, '-' and '.', such as 'alice' or "
            "'team-a', 63 at the most."
        )


def is_name(name: str) -> bool:
    """Return whether a client can be called *name*."""
    return _NAME.fullmatch(name) is not None


def write_private(file: Path, content: bytes) -> None:
    """Write *content* to *file*, which its user alone can read, in one step."""
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    part.replace(file)

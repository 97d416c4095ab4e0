"""Chooses the container engine that a `DockerProvider` means. Asks no engine, only whether a socket file is there.

::

    host= ────────────────────────────────────────────────────────────────> that one
    engine="docker" ──> DOCKER_HOST ──────> Docker's usual sockets ───────> the first that is there
    engine="podman" ──> CONTAINER_HOST ───> Podman's usual sockets ───────> the first that is there
    engine=None ──────> DOCKER_HOST, CONTAINER_HOST ──> Docker's sockets ──> Podman's
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EngineName = Literal["docker", "podman"]

_VARIABLES: Mapping[EngineName, str] = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}
_LOCAL = ("unix://", "http+unix://", "npipe://", "/")


class EngineAddress(NamedTuple):
    """Address of an engine, and why it is that one."""

    url: str
    """As the Docker SDK takes it, such as ``unix:///run/podman/podman.sock`` or ``ssh://me@big``."""

    source: str
    """Option, variable, or kind of socket that names it, for messages."""

    engine: EngineName | None
    """The engine that has to be there; None if either may."""

    @property
    def is_local(self) -> bool:
        """The engine is behind a socket file, and sees this machine's files. A TCP port may be forwarded anywhere."""
        return self.url.startswith(_LOCAL)

    @property
    def noun(self) -> str:
        """Name for messages before the engine has said what it is."""
        return "Podman engine" if self.engine == "podman" else "Docker engine"


def find_engine(
    host: str | None,
    engine: EngineName | None,
    variables: Mapping[str, str] | None = None,
    is_there: Callable[[str], bool] = os.path.exists,
) -> EngineAddress:
    """Return the address of the engine that *host* and *engine* mean.

    Args:
        host: option of the same name.
        engine: option of the same name.
        variables: of the environment; None takes those of this process.
        is_there: tells whether a file exists.
    """
    known = os.environ if variables is None else variables
    if host:
        return EngineAddress(_as_sdk_takes_it(host), "DockerProvider(host)", engine)
    names: tuple[EngineName, ...] = ("docker", "podman") if engine is None else (engine,)
    for name in names:
        if url := known.get(_VARIABLES[name], ""):
            expected = name if engine or name == "podman" else None  # DOCKER_HOST may name either
            return EngineAddress(_as_sdk_takes_it(url), _VARIABLES[name], expected)
    usual = [(name, path) for name in names for path in usual_sockets(name, known)]
    name, path = next(((name, path) for name, path in usual if is_there(path)), usual[0])
    return EngineAddress(f"unix://{path}", _usual(name), name)


def find_other(
    address: EngineAddress,
    variables: Mapping[str, str] | None = None,
    is_there: Callable[[str], bool] = os.path.exists,
) -> EngineAddress | None:
    """Return an engine of this machine with a socket that is there, besides the one at *address*; None if none is."""
    known = os.environ if variables is None else variables
    names: tuple[EngineName, ...] = ("docker", "podman")
    sockets = [(name, f"unix://{path}") for name in names for path in usual_sockets(name, known) if is_there(path)]
    others = (EngineAddress(url, _usual(name), name) for name, url in sockets if url != address.url)
    return next(others, None)


def usual_sockets(engine: EngineName, variables: Mapping[str, str], uid: int | None = None) -> tuple[str, ...]:
    """Return the socket files at which *engine* listens where nothing else was set up, likeliest first.

    Podman has no daemon of root that users share, so that a user's own socket precedes root's.

    Args:
        engine: one of the two.
        variables: of the environment.
        uid: of the user; None takes that of this process.
    """
    user = os.getuid() if uid is None else uid
    own = variables.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    if engine == "docker":
        return ("/var/run/docker.sock", f"{own}/docker.sock")
    sockets = (f"{own}/podman/podman.sock", "/run/podman/podman.sock")
    return sockets if user else sockets[::-1]


def _usual(engine: EngineName) -> str:
    return f"the usual socket of {engine.title()}"


def _as_sdk_takes_it(url: str) -> str:
    """Return *url* with the two slashes that Podman's own programs can do without."""
    return f"unix://{url.removeprefix('unix:')}" if url.startswith("unix:/") and not url.startswith("unix://") else url

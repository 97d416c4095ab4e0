"""Brings a server of models on another machine to a port of this one: ``cnflow serve forward``.

::

    ssh HOST 'cd FOLDER && cnflow serve status --json' ──> its port ──> ssh -N -L PORT:127.0.0.1:ITS-PORT HOST
"""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from cnflow.config.existing_pool import SshAddress, parse_address
from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT = 60.0
"""Seconds for the login and the answer."""


def run(address: str, port: int, command: str) -> None:
    """Forward until Ctrl-C.

    Raises:
        ConfigurationError: the login fails, no server runs there, or the port is taken.
    """
    place = parse_address(address)
    if not isinstance(place, SshAddress):
        raise ConfigurationError(f"{address!r} is no login: write ssh://USER@HOST/FOLDER.")
    _require_free(port)
    status = _status(place, command)
    typer.echo(f"cnflow serve: http://127.0.0.1:{port} is {status['url']} of {place.login}; Ctrl-C ends it", err=True)
    target = urlsplit(status["url"])
    process = subprocess.Popen(forward_command(place, port, target.hostname or "127.0.0.1", target.port or 0))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return
    raise ConfigurationError(f"The connection to {place.login} has ended: ssh gave exit code {code}.")


def _ssh(place: SshAddress) -> list[str]:
    port = ["-p", str(place.port)] if place.port else []
    return ["ssh", "-T", "-o", "ServerAliveInterval=15", *port]


def status_command(place: SshAddress, command: str) -> list[str]:
    """Words of ssh that ask for the status; pure."""
    folder = shlex.quote(str(place.folder))
    return [*_ssh(place), place.login, f"cd {folder} && {command} serve status --json"]


def forward_command(place: SshAddress, port: int, host: str, remote: int) -> list[str]:
    """Words of ssh that forward *port* of this machine to the server; pure."""
    way = f"127.0.0.1:{port}:{host}:{remote}"
    return [*_ssh(place), "-o", "ExitOnForwardFailure=yes", "-N", "-L", way, place.login]


def _status(place: SshAddress, command: str) -> dict[str, Any]:
    argv: Sequence[str] = status_command(place, command)
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_TIMEOUT, check=False, text=True)
    except FileNotFoundError as error:
        raise ConfigurationError("There is no program ssh here.") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"{place.login} gave no answer within {_TIMEOUT:g} s.") from error
    if done.returncode:
        raise ConfigurationError(
            f"{place.login} has no server of models in {place.folder}: {done.stderr.strip() or done.stdout.strip()}\n"
            "Start one there by 'cnflow serve', and name the folder in which it was started. Where the login shell "
            "does not find cnflow, add --command with its path."
        )
    status: dict[str, Any] = json.loads(done.stdout)
    return status


def _require_free(port: int) -> None:
    with socket.socket() as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            end.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(f"Port {port} of this machine is taken: choose another by --port.") from error

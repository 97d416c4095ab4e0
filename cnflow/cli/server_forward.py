"""Brings a server of models on another machine to a port of this one: ``cnflow serve forward``.

::

    ssh HOST 'cd FOLDER && cnflow serve status --json' ──> its port ──> ssh -N -L PORT:127.0.0.1:ITS-PORT HOST
       ^                                                                          │
       └────────── once more, later each time, when the connection is lost ───────┘

The server may have another port, or be another process, after a connection was lost; so it is asked each time.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import typer

from cnflow.config.existing_pool import SshAddress, parse_address
from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TIMEOUT = 60.0
"""Seconds for the login and the answer."""

_STABLE = 20.0
"""Seconds after which a connection has worked; the next loss is the first one again."""

_SSH_FAILED = 255
"""Exit code of ssh for its own failures; others are those of the command there (ssh(1))."""

_LONGEST_PAUSE = 30.0


class Login(NamedTuple):
    """How ssh reaches the server's machine."""

    place: SshAddress
    command: str
    """That runs cnflow there."""

    options: Sequence[str] = ()
    """Further words of ssh."""


class _ConnectionLostError(Exception):
    """ssh has failed, which may pass."""


def run(address: str, port: int, command: str, options: str = "") -> None:
    """Forward until Ctrl-C or SIGTERM; a connection that is lost is made again.

    Raises:
        ConfigurationError: the first login fails, no server runs there, the port is taken, or an argument is wrong.
    """
    login = Login(_place(address), command, _words_of(options))
    _require_free(port)
    signal.signal(signal.SIGTERM, _interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        _keep_forwarding(login, port)


def _place(address: str) -> SshAddress:
    with contextlib.suppress(ValueError):
        place = parse_address(address)
        if isinstance(place, SshAddress):
            return place
    raise ConfigurationError(f"{address!r} is no login: write ssh://USER@HOST/FOLDER, or ssh://USER@HOST:PORT/FOLDER.")


def _words_of(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError as error:
        raise ConfigurationError(f"--ssh-options {options!r} cannot be read: {error}. Close each quotation.") from error


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def _keep_forwarding(login: Login, port: int) -> None:
    pauses, has_worked = _pauses(), False
    while True:
        began = time.monotonic()
        try:
            url = _status(login)["url"]
            has_worked = True
            here = f"{urlsplit(url).scheme}://127.0.0.1:{port}"
            _say(f"{here} is {url} of {login.place.login}; Ctrl-C ends it")
            _forward(login, port, url)
        except _ConnectionLostError as error:
            if not has_worked:
                raise ConfigurationError(str(error)) from error
            if time.monotonic() - began > _STABLE:
                pauses = _pauses()
            pause = next(pauses)
            _say(f"{error} It connects again in {pause:g} s.")
            time.sleep(pause)


def _pauses() -> Iterator[float]:
    pause = 1.0
    while True:
        yield pause
        pause = min(_LONGEST_PAUSE, 2 * pause)


def _forward(login: Login, port: int, url: str) -> None:
    target = urlsplit(url)
    argv = forward_command(login, port, target.hostname or "127.0.0.1", target.port or 0)
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        code = process.wait()
    finally:
        process.terminate()
        process.wait()
    raise _ConnectionLostError(f"The connection to {login.place.login} has ended: ssh gave exit code {code}.")


def _ssh(login: Login) -> list[str]:
    port = ["-p", str(login.place.port)] if login.place.port else []
    return ["ssh", "-T", "-o", "ServerAliveInterval=15", *login.options, *port]


def status_command(login: Login) -> list[str]:
    """Words of ssh that ask for the status; pure."""
    folder = shlex.quote(str(login.place.folder))
    return [*_ssh(login), login.place.login, f"cd {folder} && {login.command} serve status --json"]


def forward_command(login: Login, port: int, host: str, remote: int) -> list[str]:
    """Words of ssh that forward *port* of this machine to the server; pure."""
    way = f"127.0.0.1:{port}:{f'[{host}]' if ':' in host else host}:{remote}"
    return [*_ssh(login), "-o", "ExitOnForwardFailure=yes", "-N", "-L", way, login.place.login]


def _status(login: Login) -> dict[str, Any]:
    place = login.place
    argv = status_command(login)
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False, text=True
        )
    except FileNotFoundError as error:
        raise ConfigurationError("There is no program ssh here.") from error
    except subprocess.TimeoutExpired as error:
        raise _ConnectionLostError(f"{place.login} gave no answer within {_TIMEOUT:g} s.") from error
    words = done.stderr.strip() or done.stdout.strip()
    if done.returncode == _SSH_FAILED:
        raise _ConnectionLostError(f"ssh does not reach {place.login}: {words}")
    if done.returncode:
        raise ConfigurationError(
            f"{place.login} has no server of models in {place.folder}: {words}\n"
            "Start one there by 'cnflow serve', and name the folder in which it was started. Where the login shell "
            "does not find cnflow, add --command with its path."
        )
    return parse_status(done.stdout, place.login)


def parse_status(output: str, login: str) -> dict[str, Any]:
    """Return the state of the server in *output*, which may begin with the words of a profile that prints; pure.

    Raises:
        ConfigurationError: there is none.
    """
    with contextlib.suppress(ValueError):
        status: dict[str, Any] = json.loads(output[output.index("{") :])
        return status
    raise ConfigurationError(
        f"{login} does not answer with the state of a server, but with: {output.strip()[:500]!r}. Does --command name "
        "the cnflow of the server?"
    )


def _say(words: str) -> None:
    typer.echo(f"cnflow serve: {words}", err=True)


def _require_free(port: int) -> None:
    with socket.socket() as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            end.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(f"Port {port} of this machine is taken: choose another by --port.") from error

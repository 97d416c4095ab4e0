"""Argument vectors of OpenSSH's client; pure.

::

    connect_command  ssh -M -S SOCKET HOST ...   the login; lives as long as the connection
    session_command  ssh -S SOCKET HOST ...      one command over it, without a login
    check_command    ssh -S SOCKET -O check HOST

Options: https://man.openbsd.org/ssh_config (OpenSSH 9.2). The first value of an option counts: the user's
come first.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.channels import SSHSettings

_KEEP_ALIVES = 3


def destination(settings: SSHSettings) -> str:
    """``user@host``, or ``host``."""
    return f"{settings.user}@{settings.host}" if settings.user else settings.host


def connect_command(
    settings: SSHSettings, socket: str, remote: str, extra: Mapping[str, str], *, may_ask: bool
) -> list[str]:
    """Command that logs in, and serves sessions at *socket* until *remote* ends; *extra* are further options."""
    own = {
        "ControlMaster": "yes",
        "BatchMode": "no" if may_ask else "yes",
        "ConnectTimeout": f"{max(1, round(settings.connect_timeout))}",
        "ServerAliveInterval": f"{round(settings.keep_alive)}",
        "ServerAliveCountMax": f"{_KEEP_ALIVES}",
        "LogLevel": "INFO",  # greetings and instructions of the login, which are shown with its questions
        **extra,
    }
    jump = ["-J", settings.jump] if settings.jump else []
    return [*_beginning(settings, socket), *_options(own), *jump, *_target(settings), remote]


def session_command(settings: SSHSettings, socket: str, remote: str, *, may_connect: bool = False) -> list[str]:
    """Command that runs *remote* over the connection at *socket*.

    Args:
        settings: of the channel.
        socket: of the connection.
        remote: command for the login shell.
        may_connect: log in, without the user, if there is no connection; otherwise ssh fails at once.
    """
    own = {"ControlMaster": "no", "BatchMode": "yes", "LogLevel": "ERROR"}
    jump = ["-J", settings.jump] if settings.jump and may_connect else []
    if not may_connect:
        own["ProxyCommand"] = "false"
    return [*_beginning(settings, socket), *_options(own), *jump, *_target(settings), remote]


def check_command(settings: SSHSettings, socket: str) -> list[str]:
    """Command whose exit code is 0 if there is a connection at *socket*."""
    return [settings.program, *settings.options, "-S", socket, "-O", "check", *_target(settings)]


def by_hand(settings: SSHSettings, socket: str = "") -> str:
    """Command line with which the user logs in by hand; with *socket* it makes the connection that cnflow uses."""
    master = ["-M", "-N", "-f", "-S", socket] if socket else []
    jump = ["-J", settings.jump] if settings.jump else []
    return shlex.join([settings.program, *settings.options, *master, *jump, *_target(settings)])


def _beginning(settings: SSHSettings, socket: str) -> list[str]:
    own = {
        "ControlPersist": "no",
        "RemoteCommand": "none",
        "PermitLocalCommand": "no",
        "ClearAllForwardings": "yes",
    }
    return [settings.program, *settings.options, "-T", "-x", "-e", "none", "-S", socket, *_options(own)]


def _target(settings: SSHSettings) -> list[str]:
    port = ["-p", str(settings.port)] if settings.port else []
    key = ["-i", settings.key_file] if settings.key_file else []
    return [*port, *key, destination(settings)]


def _options(values: Mapping[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("-o", f"{name}={value}")]

"""Settings of the channels: how commands reach the machine on which they run, such as a login node.

::

    LocalChannel                this machine
    SSHChannel                  a login node, with keys, an agent or tickets: nobody is asked
    SSHInteractiveLoginChannel  the same, with a login that asks: the user answers once, at `load`
    OAuthSSHChannel             the same, with a token that a command or a function fetches
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from cnflow.config.base import Settings
from cnflow.config.paths import PathText
from cnflow.config.quantities import Duration
from cnflow.config.registry import CHANNELS
from cnflow.config.variables import Variables

if TYPE_CHECKING:
    from typing_extensions import Self


class ChannelSettings(Settings):
    """Options of every channel; `backend` is called with the settings and returns a `cnflow.interfaces.Channel`."""

    asks_user: ClassVar[bool] = False
    """The first login may ask the user, and is made within `load`, before the script goes on."""

    kind: str


class LocalChannel(ChannelSettings):
    """Runs commands on this machine."""

    backend: ClassVar[str] = "cnflow.channels.local:LocalBackend"
    kind: Literal["local"] = "local"


class SSHSettings(ChannelSettings):
    """Options of every channel over the system's own ``ssh``: one login, and one connection for all commands."""

    host: str
    """Name of the machine: a host name, an alias of ``~/.ssh/config``, or ``user@host``."""

    user: str | None = None
    """User there; None is that of ``~/.ssh/config``, else this machine's user."""

    port: int | None = Field(default=None, ge=1, le=65535)
    """Port of its sshd; None is that of ``~/.ssh/config``, else 22."""

    key_file: PathText | None = None
    """File of the private key; None lets ssh choose."""

    jump: str | None = None
    """Machines to go through, as for ``ssh -J``: ``"gateway"``, or ``"ada@gate1,gate2:2222"``."""

    options: list[str] = Field(default_factory=list)
    """Further options of ssh, before cnflow's own: ``["-o", "GSSAPIAuthentication=yes"]``."""

    program: str = "ssh"
    """Name or path of OpenSSH's client."""

    environment: Variables = Field(default_factory=dict)
    """Variables added to those of each command."""

    setup: str = ""
    """Commands of sh that run before each command, such as ``. /etc/profile`` where the scheduler's programs are on the
    ``PATH`` of login shells alone."""

    control_path: PathText | None = None
    """Socket of the connection; None is in a new private folder. Where a connection is there already, made by ``ssh -M
    -S CONTROL_PATH HOST``, it is used, and not ended."""

    connect_timeout: Duration = Field(default=30.0, gt=0)
    """Seconds within which the machine must accept the connection, and again within which the login must end."""

    keep_alive: Duration = Field(default=15.0, ge=0)
    """Seconds of silence after which ssh asks whether the machine is still there; without three answers in a row the
    connection is given up, and made again. 0 never asks."""

    max_sessions: int = Field(default=8, ge=1)
    """Commands that run at the same time on the connection; others wait. sshd allows 10 unless the site's MaxSessions
    is another number, of which the connection itself and the stream of an interchange take one each."""

    @field_validator("host", "user", "jump")
    @classmethod
    def _check_word(cls, value: str | None) -> str | None:
        """Refuse what ssh would take for an option, or for several words."""
        if value is not None and (not value or value.startswith("-") or re.search(r"\s", value)):
            raise ValueError(f"must be one word that does not begin with '-', not {value!r}")
        return value


class SSHChannel(SSHSettings):
    """Runs commands on a machine that the system's own ``ssh`` reaches: one login, and one connection for all commands.

    ``~/.ssh/config``, agents, jump hosts and Kerberos tickets count as they do for ``ssh HOST``. Nobody is asked for
    anything: a login that needs a password or a token is `SSHInteractiveLoginChannel` or `OAuthSSHChannel`.
    """

    backend: ClassVar[str] = "cnflow.channels.ssh:SSHBackend"
    kind: Literal["ssh"] = "ssh"


class SSHInteractiveLoginChannel(SSHSettings):
    """An `SSHChannel` whose login asks the user: passwords, tokens, the choice of a second factor, unknown host keys.

    The questions come to the terminal, or to the notebook's cell, once, when the configuration is loaded.
    """

    backend: ClassVar[str] = "cnflow.channels.ssh:interactive_backend"
    asks_user: ClassVar[bool] = True
    kind: Literal["ssh_interactive"] = "ssh_interactive"
    prompt: Callable[[str], str] | str | None = None
    """Function that gets ssh's question and returns the answer, or ``"module:function"``; None asks on the terminal or
    in the notebook."""

    asks_again: bool = False
    """True calls `prompt` also when a lost connection is made again: for a function that needs no user, such as one
    that computes a token."""

    login_timeout: Duration = Field(default=300.0, gt=0)
    """Seconds within which the login must be complete, counted from the last answer: a phone may have to be found."""


class OAuthSSHChannel(SSHSettings):
    """An `SSHChannel` whose login takes a token in the place of a password.

    The token is fetched anew for each login and handed to ssh through an askpass program; no argument vector and no
    file holds it.
    """

    backend: ClassVar[str] = "cnflow.channels.ssh:oauth_backend"
    kind: Literal["ssh_oauth"] = "ssh_oauth"
    token_command: list[str] = Field(default_factory=list)
    """Command that prints the token, such as ``["oauth-ssh-token", "print"]``."""

    token: Callable[[], str] | str | None = None
    """Function that returns the token, or ``"module:function"``; in the place of `token_command`."""

    token_timeout: Duration = Field(default=60.0, gt=0)
    """Seconds within which `token_command` must end."""

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if bool(self.token_command) == (self.token is not None):
            raise ValueError("needs one of token_command=['command', ...] and token=function")
        return self


AnyChannel = Annotated[SerializeAsAny[ChannelSettings], BeforeValidator(CHANNELS.parse)]
"""Type of an option that is a channel: settings, or a table of a file."""

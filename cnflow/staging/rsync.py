"""Staging of files of a host with rsync over ssh, which the node that runs the task calls.

::

    /data/x of HOST ──rsync, ssh──> node: copy ──> task ──> node: copy ──rsync, ssh──> /data/y of HOST
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError
from cnflow.staging.ways import IN_TASK, WayStaging, check_tries, check_way
from cnflow.tasks.staging.attempts import RetryPolicy
from cnflow.tasks.staging.rsync import RSync
from cnflow.tasks.staging.rsync_command import Host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.file import File

_HOST = re.compile(r"(?:[^@\s:/]+@)?(?:[^@\s:/-][^@\s:/]*|\[[0-9A-Fa-f:.]+\])")
_HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+(?: .*)?")


class RSyncStaging(WayStaging):
    """Moves paths and ``file:`` URLs of one host, such as the submitting machine, with rsync over ssh; also folders.

    rsync and ssh must be on the node and, rsync, on the host; the node logs in to the host without a person. All paths
    of files are those of the host.

    Args:
        hostname: host as the nodes reach it, with the user if need be: ``me@1.2.3.4``.
        port: of its sshd; None is ssh's own choice.
        key_file: path, on the node, of the private key; None leaves the choice to ssh, which also asks an agent.
        agent: path, on the node, of the socket of an agent; None is that of the variable ``SSH_AUTH_SOCK``.
        host_key: public key of the host, such as ``ssh-ed25519 AAAA...``: no other host is spoken to. None is
            *known_hosts*.
        known_hosts: path, on the node, of a file of known hosts; None is that of ssh's configuration.
        ssh_options: further arguments of ssh, such as ``["-o", "ProxyJump=gateway"]``.
        rsync: program on the node.
        way: ``in_task``, ``separate``: a task of its own on the same executor, or ``driver``: a thread of the driver,
            so that nodes need neither rsync nor ssh nor a way to the host.
        timeout: seconds without data after which a try fails.
        tries: how often a connection that fails is tried; what is refused is final.
        pause: seconds before the second try, doubled before each further one.
    """

    schemes = ("file",)

    def __init__(  # noqa: PLR0913 - options of a staging are arguments
        self,
        hostname: str,
        *,
        port: int | None = None,
        key_file: str | None = None,
        agent: str | None = None,
        host_key: str | None = None,
        known_hosts: str | None = None,
        ssh_options: Sequence[str] = (),
        rsync: str = "rsync",
        way: str = IN_TASK,
        timeout: float = 60.0,
        tries: int = 4,
        pause: float = 1.0,
    ) -> None:
        if not _HOST.fullmatch(hostname):
            raise ConfigurationError(f"RSyncStaging({hostname!r}): write a host, or user@host; a port is port=.")
        if host_key is not None and not _HOST_KEY.fullmatch(host_key.strip()):
            raise ConfigurationError(
                f"RSyncStaging(host_key={host_key!r}) is no public key: write its type and its text, 'ssh-ed25519 "
                "AAAA...', as the host has it in /etc/ssh/ssh_host_ed25519_key.pub."
            )
        if isinstance(ssh_options, str):
            raise ConfigurationError(
                f"RSyncStaging(ssh_options={ssh_options!r}) is one text. Write a list: ['-o', 'Name=value']."
            )
        check_tries("RSyncStaging", timeout, tries, pause)
        check_way("RSyncStaging", way)
        self.hostname = hostname
        self.port = port
        self.key_file = key_file
        self.agent = agent
        self.host_key = host_key
        self.known_hosts = known_hosts
        self.ssh_options = list(ssh_options)
        self.rsync = rsync
        self.way = way
        self.timeout = timeout
        self.tries = tries
        self.pause = pause

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* is a path, or a ``file:`` URL without a host; a pattern is not."""
        return file.scheme == "file" and not file.glob and file.netloc.lower() in {"", "localhost"}

    @property
    def mover(self) -> RSync:
        """Calls rsync with these settings."""
        host = Host(
            self.hostname,
            self.port,
            self.key_file,
            self.agent,
            self.known_hosts,
            self.host_key and self.host_key.strip(),
            tuple(self.ssh_options),
            self.timeout,
        )
        return RSync(host, self.rsync, RetryPolicy(self.timeout, self.tries, self.pause))

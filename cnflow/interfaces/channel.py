"""Seam between cnflow and the machine on which a site's commands run: this one, or a login node.

::

    provider ──run(["sbatch", script])──────> channel ──(ssh)──> login node
    site     ──put(settings, path, 0o600)───> channel            get(path) ──> bytes
    executor ──command([python, ...])───────> argv that runs here; its stdin and stdout reach the command there

No shell strings cross the seam: a channel that has to give its command to a shell quotes it itself.

Registered by an entry point of the group ``cnflow.channels``, whose settings name the channel as their `backend`, which
is called as ``backend(settings)``. Run the contract `cnflow.testing.contracts.channel.ChannelContract` on a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from cnflow.units import Seconds


class Completed(NamedTuple):
    """A command that ended."""

    exit_code: int
    stdout: str
    stderr: str


class Channel(Protocol):
    """Runs commands and moves small files. Called from any thread; every call may block for seconds.

    Attributes:
        name: of the machine, for messages: ``this machine``, ``login.site.org``.
        is_local: commands run on this machine, so that its files and addresses are those of the commands.
    """

    name: str
    is_local: bool

    def open(self) -> None:
        """Connect, asking the user for passwords if need be; a second call is none. Other calls connect by themselves.

        Raises:
            ChannelError: the machine cannot be reached, or refuses the user; the message has the next step.
        """

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: Seconds | None = None) -> Completed:
        """Run *argv* in the user's home folder (here: the current one), and wait for its end.

        Output that the login itself prints (a banner, a profile) is no part of the result.

        Raises:
            ChannelError: the machine cannot be reached, or the command took longer than *timeout*; nothing is known
                about the command.
        """

    def command(self, argv: Sequence[str]) -> list[str]:
        """Argument vector that runs *argv* there when it is started here; bytes of stdin and stdout pass as they are.

        Output of the login may come before the command's own.
        """

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start `command` with pipes for its streams.

        Raises:
            ChannelError: it cannot be started.
        """

    def put(self, content: bytes, path: str, mode: int = 0o600) -> None:
        """Write a file that has *mode* from its first byte on; its folder is made (0700), an existing file replaced.

        Raises:
            ChannelError: the file was not written; no part of it is left under its name.
        """

    def get(self, path: str) -> bytes:
        """Content of a file.

        Raises:
            ChannelError: there is no such file, or the machine cannot be reached.
        """

    def close(self) -> None:
        """Close connections; can be called twice."""

"""Seam between a provider and the machine on which its commands run: this one, or a login node.

Reserved: the built-in providers run no commands on login nodes yet.

::

    provider ──run(["sbatch", script])──> channel ──(ssh)──> login node
    provider ──put(settings, path, 0o600)──> channel         get(path) ──> bytes

Registered by an entry point of the group ``cnflow.channels``, whose settings name the channel as their `backend`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Completed(NamedTuple):
    """A command that ended."""

    exit_code: int
    stdout: str
    stderr: str


class Channel(Protocol):
    """Runs commands and moves small files. Called from one thread; every call may block for seconds."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"") -> Completed:
        """Run *argv*, without a shell of its own, and wait for its end.

        Raises:
            BlockError: the machine cannot be reached; nothing is known about the command.
        """

    def put(self, content: bytes, path: str, mode: int = 0o600) -> None:
        """Write a file that has *mode* from its first byte on; its folder is made, an existing file replaced.

        Raises:
            BlockError: the file was not written; no part of it is left under its name.
        """

    def get(self, path: str) -> bytes:
        """Content of a file.

        Raises:
            BlockError: there is no such file, or the machine cannot be reached.
        """

    def close(self) -> None:
        """Close connections; can be called twice."""

"""Answers ssh's questions: ssh starts a program of ours, which asks the driver over a private socket.

::

    ssh ──"(ada@login) Password: "──> askpass (sh ──> python -I -c HELPER) ──socket, 0700──> driver ──> user, function
        <────────── answer, by a pipe ───────────┘<──────────────────────────────────────────┘

No argument vector, variable or file holds an answer. SSH_ASKPASS_REQUIRE is of OpenSSH 8.4; before that ssh uses the
program where it has no terminal and DISPLAY is set (https://man.openbsd.org/ssh#SSH_ASKPASS).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HELPER = """
import socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
link.sendall(sys.argv[2].encode("utf-8", "surrogateescape"))
link.shutdown(socket.SHUT_WR)
with link.makefile("rb") as answers:
    answer = answers.read()
if not answer.startswith(b"+"):
    sys.exit(1)
sys.stdout.buffer.write(answer[1:] + b"\\n")
"""
_SECONDS_TO_ASK = 10.0
"""Within which a helper that has connected must have sent its question."""


class Askpass:
    """Listens for the questions of one login.

    Args:
        folder: private, in which files can be executed.
    """

    def __init__(self, folder: Path) -> None:
        self._program = folder / "askpass"
        self._address = folder / "ask"
        command = shlex.join([sys.executable, "-I", "-c", HELPER, str(self._address)])
        self._program.write_text(f'#!/bin/sh\nexec {command} "$1"\n', encoding="utf-8")
        self._program.chmod(0o700)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self._address))
        self.listener.listen()

    def environment(self) -> Mapping[str, str]:
        """Variables that make ssh use the program."""
        display = os.environ.get("DISPLAY") or ":0"
        return {"SSH_ASKPASS": str(self._program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": display}

    def question(self) -> Question:
        """The next question; blocks unless the listener is readable."""
        link, _ = self.listener.accept()
        link.settimeout(_SECONDS_TO_ASK)
        return Question(link)

    def close(self) -> None:
        """Stop listening."""
        self.listener.close()
        self._address.unlink(missing_ok=True)


class Question:
    """A question of ssh, which waits for its answer."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        parts = []
        with contextlib.suppress(OSError):  # ssh was killed: there is nobody left to answer
            while part := link.recv(65536):
                parts.append(part)
        self.text = b"".join(parts).decode("utf-8", "replace")

    def answer(self, text: str | None) -> None:
        """Send the answer; None refuses it, which ends the login."""
        with contextlib.closing(self._link), contextlib.suppress(OSError):  # as above
            self._link.sendall(b"-" if text is None else b"+" + text.encode("utf-8", "surrogateescape"))


def can_hold_programs(folder: Path) -> bool:
    """True if files of *folder* can be executed: some sites mount /tmp without that."""
    probe = folder / "probe"
    probe.write_text("#!/bin/sh\n", encoding="utf-8")
    probe.chmod(0o700)
    try:
        return os.access(probe, os.X_OK)
    finally:
        probe.unlink()

"""Runs the script of `cnflow.sites.image_scripts` at a site, and answers what it asks for: a file, or a password.

::

    script at the site                                            driver
      ├── wait WHO, taken, > line ───────────────────────────────> progress
      ├── login ──────────────────────────────────────────────────> user, password        (stdin: never in argv)
      ├── send ─── local channel: file, its path ────────────────── supply() makes it only now
      │       └─── network: bytes, SIZE, the file ────────────────> progress
      └── have NAME, done NAME, or fail WHY ─────────────────────> Brought, or `BringError`

A connection that breaks ends the script where it waits for bytes, and lets it go on where it pulls.
"""

from __future__ import annotations

import collections
import contextlib
import json
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ChannelError
from cnflow.sites.image_scripts import bring_script, parse_report
from cnflow.text import amount_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cnflow.interfaces.channel import Channel
    from cnflow.sites.image_scripts import Report, Wanted

_BLOCK = 1 << 20
_REPORT_PERIOD = 5.0
_LINES = 40
_ENDING = 10.0


class Upload(NamedTuple):
    """A file of the driver that a site asks for."""

    path: Path
    suffix: str
    """By which the site knows what it is, such as ``.tar.gz``."""


class Brought(NamedTuple):
    """An image that is at the site."""

    name: str
    folder: str
    """Absolute path of the cache."""

    facts: Mapping[str, Any]
    """Written beside it by who brought it first; empty if nobody has yet."""

    is_new: bool

    @property
    def path(self) -> str:
        """Absolute path at the site."""
        return f"{self.folder}/{self.name}"


class BringError(Exception):
    """The script could not make the image.

    Attributes:
        why: first word of its report, such as ``make`` or ``space``; ``lost`` if it ended without any.
        details: further words of the report.
        words: what commands printed.
    """

    def __init__(self, why: str, details: str, words: str) -> None:
        super().__init__(why, details, words)
        self.why = why
        self.details = details
        self.words = words


class ImageTransfer:
    """One run of the script.

    Args:
        channel: to the site.
        progress: is called with lines for the user.
        supply: makes the file that the site asks for, which lives as long as its context.
        login: user and password of the registry.
    """

    def __init__(
        self,
        channel: Channel,
        progress: Callable[[str], None],
        supply: Callable[[], AbstractContextManager[Upload]] | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self._channel = channel
        self._progress = progress
        self._supply = supply
        self._login = login
        self._folder = ""
        self._facts: dict[str, Any] = {}
        self._lines: collections.deque[str] = collections.deque(maxlen=_LINES)
        self._errors: collections.deque[str] = collections.deque(maxlen=_LINES)

    def run(self, wanted: Wanted) -> Brought:
        """Have *wanted* at the site.

        Raises:
            BringError: it could not be made.
            ChannelError: the site cannot be reached.
            CnflowError: of *supply*.
        """
        process = self._channel.start(["sh", "-c", bring_script(wanted), "cnflow"])
        stdin, stdout, stderr = _streams(process)
        listener = threading.Thread(target=self._read_errors, args=(stderr,), daemon=True)
        listener.start()
        last: Report | None = None
        with contextlib.ExitStack() as uploads:
            try:
                for line in stdout:
                    report = parse_report(line.decode("utf-8", "replace"))
                    if report is not None:
                        last = report
                        self._on_report(report, stdin, uploads)
            finally:
                _close(stdin)
                code = _end(process)
                listener.join(_ENDING)
                stdout.close()
                stderr.close()
        return self._result(last, code)

    def _result(self, last: Report | None, code: int) -> Brought:
        if last is not None and last.kind in {"have", "done"}:
            return Brought(last.words, self._folder, self._facts, is_new=last.kind == "done")
        why, _, details = last.words.partition(" ") if last is not None and last.kind == "fail" else ("lost", "", "")
        words = "\n".join([*self._lines, *self._errors]).strip()
        if why == "lost" and last is None:
            raise ChannelError(
                f"{self._channel.name} did not run a script for images (exit code {code}): {words[-400:]}\nRun by hand "
                "what its login prints and starts: sh must run there without a terminal."
            )
        raise BringError(why, details, words)

    def _on_report(self, report: Report, stdin: IO[bytes], uploads: contextlib.ExitStack) -> None:
        if report.kind == "folder":
            self._folder = report.words
        elif report.kind == "facts":
            self._facts = parse_facts_line(report.words)
        elif report.kind == ">":
            self._lines.append(report.words)
            if not report.words.endswith("/part"):  # a path that nobody needs
                self._progress(report.words)
        elif report.kind == "wait":
            self._progress(f"another run ({report.words}) brings it there")
        elif report.kind == "taken":
            self._progress(f"is {report.words}, which has not answered for a while")
        elif report.kind == "login":
            user, password = self._login or ("", "")
            _write(stdin, f"{user}\n{password}\n".encode())
        elif report.kind == "send" and self._supply is not None:
            self._send(uploads.enter_context(self._supply()), stdin)

    def _send(self, upload: Upload, stdin: IO[bytes]) -> None:
        if self._channel.is_local:
            _write(stdin, f"file 0 {upload.suffix}\n{upload.path}\n".encode())
            return
        size = upload.path.stat().st_size
        sent, told = 0, time.monotonic()
        whole = amount_of_memory(size)
        self._progress(f"sending {whole} to {self._channel.name}")
        with upload.path.open("rb") as file:
            if not _write(stdin, f"bytes {size} {upload.suffix}\n".encode()):
                return
            while block := file.read(_BLOCK):
                if not _write(stdin, block):
                    return
                sent += len(block)
                if time.monotonic() - told > _REPORT_PERIOD:
                    told = time.monotonic()
                    self._progress(f"sent {amount_of_memory(sent)} of {whole} to {self._channel.name}")
        _close(stdin)

    def _read_errors(self, stderr: IO[bytes]) -> None:
        for line in stderr:
            self._errors.append(line.decode("utf-8", "replace").rstrip())


def _streams(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdin, process.stdout, process.stderr


def _write(stdin: IO[bytes], content: bytes) -> bool:
    """Write, and return whether the script still reads; why it does not is in its last report."""
    try:
        stdin.write(content)
        stdin.flush()
    except (BrokenPipeError, ValueError):
        return False
    return True


def _close(stdin: IO[bytes]) -> None:
    try:
        stdin.close()
    except BrokenPipeError:
        return


def _end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def parse_facts_line(text: str) -> dict[str, Any]:
    """The facts in a line; empty if it has none."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}

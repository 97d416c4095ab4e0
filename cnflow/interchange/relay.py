"""Relay between a driver elsewhere and an interchange on this machine, which outlives it. Standard library only.

The driver starts a relay by a command whose stdin and stdout reach this machine: ``ssh``, ``kubectl exec -i``, ``docker
exec -i``. The interchange is no child of that connection::

    driver ── ssh ──> relay                                     FOLDER/SESSION.log
      ├── line: settings ──> │ ── starts, detached ──> interchange ──┘ listens at FOLDER/SESSION/driver
      │ <── "started" ────── │ ── connects ──────────────> │
      │ <═══ messages ═════> │ <═════════════════════════> │
      x the connection breaks│ ends                        │ keeps what the driver does not have, for its grace
    driver ── ssh ──> relay
      ├── line: session ───> │ ── connects ──────────────> │
      │ <── "attached" ───── │                             │
      │ <═══ messages ═════> │ <═════════════════════════> │ ends with the driver, and removes its folder
      x                      │ ends                        x

Where no interchange of that session runs, the relay reports "gone" and the last lines of its log, and ends. An
interchange that does not answer is replaced: killed, then a new one is started.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Optional

from cnflow.interchange.first_line import read_first_line

SOCKET = "driver"
"""Name of the socket in the folder of an interchange."""

# The same as in `cnflow.model.interchange_settings`, which a relay, that is to start fast, does not import: a test
# compares.
GREETING = b"cnflow-interchange "
STARTED, ATTACHED, GONE = "started", "attached", "gone"

_CHUNK = 256 * 1024
_MOST_WAITING = 4 * _CHUNK
"""Bytes for the interchange that the relay holds before it stops reading."""

_KILL_TIMEOUT = 5.0
_TAIL = 4096
_LOG_LIFE = 14 * 24 * 3600
"""Seconds after its last line for which a log is kept."""

_PEER = struct.Struct("3i")
"""Process, user and group; SO_PEERCRED in unix(7)."""


class RelayError(Exception):
    """An interchange cannot be started or reached; the message goes to stderr."""


def attach(folder: str = "") -> int:
    """Serve one connection of the driver: stdin and stdout; return the exit code of the process."""
    try:
        request = json.loads(read_first_line(sys.stdin.fileno()))
        base = _private_folder(Path(folder) if folder else _usual_folder())
        session = str(request["session"])
        settings = request.get("settings")
        if request.get("replaces"):
            _kill(base, str(request["replaces"]))
            _remove_spool(settings, str(request["replaces"]))
        if settings is not None:
            _start(base, session, settings)
        end = _connect(base, session)
        if end is None:
            _greet(GONE)
            sys.stderr.write(
                f"cnflow: the interchange is not, or no longer, on {socket.gethostname()}.\n{_tail(base, session)}"
            )
            return 0
        _greet(STARTED if settings is not None else ATTACHED)
        _copy(end)
    except (RelayError, OSError, ValueError) as error:
        sys.stderr.write(f"cnflow: the interchange cannot be reached on {socket.gethostname()}: {error}\n")
        return 1
    return 0


def _usual_folder() -> Path:
    """Folder of the user's on a local disk, the same for all logins: TMPDIR may have the number of one, or be long."""
    place = "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else tempfile.gettempdir()  # noqa: S108 - a private one in it
    return Path(place, f"cnflow-{os.getuid()}")


def _private_folder(path: Path) -> Path:
    """Make *path* if need be; refuse a folder that others own or may enter: it holds the way to the driver."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RelayError(f"{path} is no folder that only the user can enter; remove it, or name another one")
    return path


def _start(base: Path, session: str, settings: Any) -> None:  # noqa: ANN401 - JSON, which the interchange checks
    """Start an interchange that outlives this process, and wait until it listens."""
    _remove_old_logs(base)
    folder = base / session
    folder.mkdir(mode=0o700)
    main = Path(__file__).resolve().with_name("__main__.py")
    log = os.open(_log_file(base, session), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        daemon = subprocess.Popen(
            [sys.executable, str(main), "--listen", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    with contextlib.suppress(BrokenPipeError), daemon.stdin:
        daemon.stdin.write(json.dumps(settings).encode())
    with daemon.stdout:
        listens = daemon.stdout.readline()
    if not listens:
        shutil.rmtree(folder, ignore_errors=True)
        raise RelayError(f"it ended with code {daemon.wait()}.\n{_tail(base, session)}")


def _remove_old_logs(base: Path) -> None:
    """Remove the logs of interchanges that nobody looks at any more."""
    before = time.time() - _LOG_LIFE
    for log in base.glob("*.log"):
        with contextlib.suppress(OSError):  # another relay was faster
            if log.stat().st_mtime < before:
                log.unlink()


def _connect(base: Path, session: str) -> Optional[socket.socket]:
    """Connect with the interchange of *session*; None if none runs."""
    end = socket.socket(socket.AF_UNIX)
    try:
        end.connect(str(base / session / SOCKET))
    except (FileNotFoundError, ConnectionRefusedError):
        end.close()
        return None
    return end


def _kill(base: Path, session: str) -> None:
    """Kill the interchange of *session*, which may be frozen, and wait until its sockets are free."""
    deadline = time.monotonic() + _KILL_TIMEOUT
    while (end := _connect(base, session)) is not None:
        with end:
            process, _, _ = _PEER.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise RelayError(f"the interchange before, process {process}, does not end")
        time.sleep(0.01)  # no event tells the end of a process that is no child, on each system
    shutil.rmtree(base / session, ignore_errors=True)


def _remove_spool(settings: Any, session: str) -> None:  # noqa: ANN401 - JSON
    """Remove what the interchange of *session*, which was killed or lost, kept for the driver: its tasks run again."""
    spool = settings.get("spool") if settings else None
    if spool and session.isalnum():
        shutil.rmtree(Path(spool).with_name(session), ignore_errors=True)


def _greet(word: str) -> None:
    os.write(sys.stdout.fileno(), GREETING + word.encode() + b"\n")


def _log_file(base: Path, session: str) -> Path:
    return base / f"{session}.log"


def _tail(base: Path, session: str) -> str:
    """Last lines of the log of an interchange; empty if there is none."""
    try:
        with _log_file(base, session).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def _copy(end: socket.socket) -> None:
    """Copy between stdin, stdout and the interchange until either side closes.

    Stdout may block: while the driver takes nothing, there is nothing else to do. The interchange may not, or the end
    of stdin would be missed while it is frozen.
    """
    near, far = sys.stdin.fileno(), end.fileno()
    end.setblocking(False)
    poller = select.poll()
    waiting = bytearray()
    while True:
        poller.register(near, select.POLLIN if len(waiting) < _MOST_WAITING else 0)
        poller.register(far, select.POLLIN | (select.POLLOUT if waiting else 0))
        ready = dict(poller.poll())
        if ready.get(near, 0) & select.POLLIN:
            data = os.read(near, _CHUNK)
            if not data:
                return
            waiting += data
        elif near in ready:  # hung up
            return
        if ready.get(far, 0) & ~select.POLLOUT:
            data = end.recv(_CHUNK)
            if not data:
                return
            while data:
                data = data[os.write(sys.stdout.fileno(), data) :]
        if waiting:
            with contextlib.suppress(BlockingIOError):
                del waiting[: end.send(waiting)]

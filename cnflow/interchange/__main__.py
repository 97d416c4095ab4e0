"""Starts an interchange, in one of three ways.

``python -m cnflow.interchange``
    The driver is the parent. Stdin is a socket to it: first a line with the settings, then messages.

``python ROOT/cnflow/interchange/__main__.py --attach [FOLDER]``
    The driver is elsewhere and has started this by a command such as ssh: a relay, see `cnflow.interchange.relay`. ROOT
    is a capsule, or the folder that cnflow is installed in. FOLDER is a private folder on a local disk, by default one
    of the user's in the folder for temporary files.

``... --listen FOLDER``
    A relay is the parent, and lives shorter. Settings come from stdin; the driver connects through relays to the socket
    in FOLDER. A line on stdout tells that it listens.
"""

from __future__ import annotations

import gc
import os
import pathlib
import signal
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.model.interchange_settings import InterchangeSettings

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def _use_root_only() -> None:
    """Make ROOT importable instead of this file's own folder, whose module names would hide others."""
    here = str(pathlib.Path(__file__).resolve().parent)
    sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if entry != here)]


def _run(settings: InterchangeSettings, end: socket.socket, wake: int = -1) -> None:
    """Run the interchange until its driver ends."""
    from cnflow.clock import SystemClock  # noqa: PLC0415 - not before ROOT is importable
    from cnflow.interchange.log import start_logging  # noqa: PLC0415 - the same
    from cnflow.interchange.loop import Loop  # noqa: PLC0415 - the same
    from cnflow.open_files import raise_open_file_limit  # noqa: PLC0415 - the same

    raise_open_file_limit()  # a descriptor for each manager
    log = start_logging(sys.stderr.fileno(), settings.log_size)
    try:
        loop = Loop(settings, end, wake, SystemClock())
    except OSError as error:
        log.close()
        sys.exit(f"cannot listen: {error}")
    try:
        if wake >= 0:
            _report_that_it_listens()
        _spare_collections()
        loop.run()
    finally:
        log.close()


def _spare_collections() -> None:
    """Let the garbage collector look at young objects only, and rarely.

    The state has no cycles, so that a collection finds nothing; a full one looks at each of a million tasks, and nobody
    is served for a third of a second.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)


def run_as_child() -> None:
    """Run an interchange whose stdin is a socket to its driver."""
    import msgspec  # noqa: PLC0415 - not before ROOT is importable

    import cnflow.interchange.loop  # noqa: F401, PLC0415 - the settings may be yet to come
    from cnflow.model.interchange_settings import InterchangeSettings  # noqa: PLC0415 - the same

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver handles Ctrl-C
    end = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    if line := _read_line(end):  # else the driver needs none after all
        _run(msgspec.json.decode(line, type=InterchangeSettings), end)


def _read_line(end: socket.socket) -> bytes:
    """Read a line, and nothing of the messages that follow it."""
    line = b""
    while not line.endswith(b"\n") and (there := end.recv(65536, socket.MSG_PEEK)):
        line += end.recv(there.find(b"\n") + 1 or len(there))
    return line


def run_as_daemon(folder: str) -> None:
    """Run an interchange that listens for relays at a socket in *folder*, which it removes at its end."""
    import msgspec  # noqa: PLC0415 - not before ROOT is importable

    from cnflow.interchange.relay import SOCKET  # noqa: PLC0415 - the same
    from cnflow.model.interchange_settings import InterchangeSettings  # noqa: PLC0415 - the same

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    wake, signalled = socket.socketpair()
    signalled.setblocking(False)
    signal.set_wakeup_fd(signalled.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)  # the descriptor ends the loop
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=InterchangeSettings)
    end = socket.socket(socket.AF_UNIX)
    end.bind(os.path.join(folder, SOCKET))  # noqa: PTH118 - its length counts, not its meaning
    end.listen()
    _run(msgspec.structs.replace(settings, folder=folder), end, wake.fileno())


def _report_that_it_listens() -> None:
    """Write a line for the relay, and leave its pipe."""
    os.write(sys.stdout.fileno(), b"listens\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def main() -> None:
    """Run in the way that the arguments choose."""
    way, *rest = sys.argv[1:] or [""]
    if way == "--attach":
        from cnflow.interchange.relay import attach  # noqa: PLC0415 - not before ROOT is importable

        sys.exit(attach(*rest[:1]))
    elif way == "--listen":
        run_as_daemon(rest[0])
    else:
        run_as_child()


if __name__ == "__main__":
    if not __package__:
        _use_root_only()
    main()

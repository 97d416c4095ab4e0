"""Starts an interchange, in one of four ways.

``python -m cnflow.interchange``
    The driver is the parent. Stdin is a socket to it: first a line with the settings, then messages.

``python -m cnflow.interchange --pool``
    The server of a pool is the parent. Stdin is a socket to it, as to a driver; clients connect to a port. See
    `cnflow.interchange.pool`.

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
from typing import TYPE_CHECKING, TypeVar, Union

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.clock import Clock
    from cnflow.interchange.loop import Loop
    from cnflow.interchange.pool.loop import PoolLoop
    from cnflow.model.interchange_settings import InterchangeSettings

    _MakeLoop = Callable[[Clock], Union[Loop, PoolLoop]]
    _Settings = TypeVar("_Settings", bound=InterchangeSettings)

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def _use_root_only() -> None:
    """Make ROOT importable instead of this file's own folder, whose module names would hide others."""
    here = str(pathlib.Path(__file__).resolve().parent)
    sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if entry != here)]


def _run(
    settings: InterchangeSettings, make_loop: Callable[[Clock], Loop | PoolLoop], *, is_awaited: bool = False
) -> None:
    """Run the loop of an interchange until its driver ends; a relay that awaits that is told when it listens."""
    from cnflow.clock import SystemClock  # noqa: PLC0415 - not before ROOT is importable
    from cnflow.interchange.log import start_logging  # noqa: PLC0415 - the same
    from cnflow.open_files import raise_open_file_limit  # noqa: PLC0415 - the same

    raise_open_file_limit()  # a descriptor for each manager
    log = start_logging(sys.stderr.fileno(), settings.log_size, settings.log_ids)
    try:
        loop = make_loop(SystemClock())
    except OSError as error:
        log.close()
        sys.exit(f"cannot listen: {error}")
    try:
        if is_awaited:
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
    from cnflow.interchange.loop import Loop  # noqa: PLC0415 - not before ROOT is importable
    from cnflow.model.interchange_settings import InterchangeSettings  # noqa: PLC0415 - the same

    _run_with_parent(InterchangeSettings, lambda settings, end, clock: Loop(settings, end, -1, clock))


def run_as_pool() -> None:
    """Run an interchange for several clients, whose stdin is a socket to its owner."""
    from cnflow.interchange.pool.loop import PoolLoop  # noqa: PLC0415 - not before ROOT is importable
    from cnflow.model.pool_settings import PoolInterchangeSettings  # noqa: PLC0415 - the same

    _run_with_parent(PoolInterchangeSettings, PoolLoop)


def _run_with_parent(kind: type[_Settings], make: Callable[[_Settings, socket.socket, Clock], Loop | PoolLoop]) -> None:
    """Run the loop that *make* returns with the settings from stdin, which may be yet to come."""
    import msgspec  # noqa: PLC0415 - not before ROOT is importable

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver handles Ctrl-C
    end = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    if line := _read_line(end):  # else the driver needs none after all
        settings = msgspec.json.decode(line, type=kind)
        _run(settings, lambda clock: make(settings, end, clock))


def _read_line(end: socket.socket) -> bytes:
    """Read a line, and nothing of the messages that follow it."""
    line = b""
    while not line.endswith(b"\n") and (there := end.recv(65536, socket.MSG_PEEK)):
        line += end.recv(there.find(b"\n") + 1 or len(there))
    return line


def run_as_daemon(folder: str) -> None:
    """Run an interchange that listens for relays at a socket in *folder*, which it removes at its end."""
    import msgspec  # noqa: PLC0415 - not before ROOT is importable

    from cnflow.interchange.loop import Loop  # noqa: PLC0415 - the same
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
    settings = msgspec.structs.replace(settings, folder=folder)
    _run(settings, lambda clock: Loop(settings, end, wake.fileno(), clock), is_awaited=True)


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
    elif way == "--pool":
        run_as_pool()
    else:
        run_as_child()


if __name__ == "__main__":
    if not __package__:
        _use_root_only()
    main()

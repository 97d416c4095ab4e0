"""``python ROOT/cnflow/manager/__main__.py SETTINGS_FILE [OPTIONS]``: the command that starts a manager on a node.

SETTINGS_FILE may be ``-`` for the standard input. With ``--unlink`` the file, which holds keys, is removed once it is
read; without, it stays for the managers of a block's other nodes. ``--worker-python=VERSION:PATH`` is an interpreter
for the workers, where only the node can tell which one its image has.

Started by its path, not by its name, since in a container no cnflow is installed; ROOT is a capsule there.
"""

from __future__ import annotations

import logging
import pathlib
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.log_lines import JSONLog
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.output_queue import OutputQueue

_WORKER_PYTHON = "--worker-python="
_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def _use_root_only() -> None:
    """Make ROOT importable instead of this file's own folder, whose module names would hide others."""
    here = str(pathlib.Path(__file__).resolve().parent)
    sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if entry != here)]


def _settings_bytes(name: str, *, unlink: bool) -> bytes:
    """Read the settings from the file *name*, or from the standard input for ``-``."""
    if name == "-":
        return sys.stdin.buffer.read()
    file = pathlib.Path(name)
    content = file.read_bytes()
    if unlink:
        try:
            file.unlink()
        except OSError:
            logging.getLogger(__name__).warning("cannot remove %s", file)
    return content


def main() -> int:
    """Run a manager and return its exit code: 0 when it was ordered to end."""
    from cnflow.output_queue import OutputHandler, OutputQueue  # noqa: PLC0415 - not before ROOT is importable

    output = OutputQueue(sys.stderr.fileno())  # a reader that does not read must not stop the heartbeats
    handler = OutputHandler(output)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s manager %(levelname)s %(message)s", handlers=[handler])
    try:
        return _run(output, handler)
    finally:
        handler.close()


def _run(output: OutputQueue, handler: logging.Handler) -> int:
    from cnflow.clock import SystemClock  # noqa: PLC0415 - not before ROOT is importable
    from cnflow.manager.errors import ManagerStartError  # noqa: PLC0415 - the same
    from cnflow.manager.node.folders import check_folders  # noqa: PLC0415 - the same
    from cnflow.manager.node.secrets import deliver_secrets  # noqa: PLC0415 - the same
    from cnflow.manager.workers.factory import WorkerFactory  # noqa: PLC0415 - the same
    from cnflow.model.manager_settings import ManagerSettings  # noqa: PLC0415 - the same
    from cnflow.open_files import raise_open_file_limit  # noqa: PLC0415 - the same

    settings = ManagerSettings.from_json(_settings_bytes(sys.argv[1], unlink="--unlink" in sys.argv[2:]))
    settings = settings.for_host(socket.gethostname())
    for worker in (each for each in sys.argv[2:] if each.startswith(_WORKER_PYTHON)):
        version, _, executable = worker[len(_WORKER_PYTHON) :].partition(":")
        settings = settings.with_worker_python(executable, version)
    output.set_limit(settings.log_size)
    log = _json_log(settings)
    if log is not None:
        handler.setFormatter(log.formatter())
        output.line_on_dropped = log.dropped
    try:
        check_folders(settings)
        deliver_secrets(settings)
        factory = WorkerFactory(settings, output, raise_open_file_limit(), log)
        factory.start_early()
        from cnflow.manager.loop import Loop  # noqa: PLC0415 - imports ZeroMQ while the workers start

        try:
            return Loop(settings, factory, SystemClock()).run()
        finally:
            factory.close()
    except ManagerStartError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400 - the message names the cause and the remedy
        return 3


def _json_log(settings: ManagerSettings) -> JSONLog | None:
    """Return what writes lines as JSON, if the user wants that."""
    from cnflow.log_lines import JSONLog  # noqa: PLC0415 - not before ROOT is importable

    if not settings.json_logs:
        return None
    ids = {"run": settings.run, "executor": settings.executor, "block": settings.block, "host": socket.gethostname()}
    return JSONLog(ids)


if __name__ == "__main__":
    _use_root_only()
    sys.exit(main())

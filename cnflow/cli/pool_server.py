"""Starts and stops the server of pools: ``cnflow pool start``, ``serve`` and ``stop``.

::

    start ──> leftovers of a killed server are removed ──> `cnflow pool serve`, detached ──> ready, or its last words
    stop ───> order ──> the server removes its blocks ──> its process has ended
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from cnflow import logs
from cnflow.cli.leftovers import remove_leftovers
from cnflow.config.worker_pool import PoolServer, load_pool_server
from cnflow.errors import ConfigurationError
from cnflow.log_tail import quoted_tail
from cnflow.worker_pool.folder import ServerFolder

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_LOOK = 0.1
"""Seconds between two looks at a process that starts or ends."""


def start(path: Path, config: Path | None, seconds: float) -> dict[str, Any]:
    """Start a server in the background; return its status once all its pools take drivers.

    Raises:
        ConfigurationError: the configuration cannot work, a server runs there, or it does not get ready in time.
    """
    folder = ServerFolder(path)
    if folder.ask({"ask": "status"}) is not None:
        raise ConfigurationError(f"A pool server runs in {folder.path} already. See 'cnflow pool status {path}'.")
    _settings(config)  # its mistakes are reported here, not in a log
    folder.make()
    argv = [sys.executable, "-m", "cnflow.cli", "pool", "serve", str(folder.path)]
    argv += ["--config", str(config.absolute())] if config is not None else []
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
        )
    return _wait_until_ready(folder, process, seconds)


def _wait_until_ready(folder: ServerFolder, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ConfigurationError(f"The pool server ended as it started.{quoted_tail(folder.log)}")
        status = folder.ask({"ask": "status"})
        if status is not None:
            if all(pool["is_ready"] for pool in status["pools"]):
                return status
            if failed := [pool for pool in status["pools"] if pool["error"]]:
                process.terminate()
                process.wait()
                raise ConfigurationError(f"Pool {failed[0]['name']!r} cannot be started: {failed[0]['error']}")
        time.sleep(_LOOK)
    raise ConfigurationError(
        f"The pools are not ready after {seconds:g} s; the server goes on. See 'cnflow pool status {folder.path}', or "
        f"its log {folder.log}."
    )


def serve(path: Path, config: Path | None) -> None:
    """Run a server in this process, until it is ended.

    Raises:
        ConfigurationError: as `cnflow.worker_pool.server.run_server`.
    """
    from cnflow.worker_pool.server import run_server  # needs ZeroMQ, which the other commands do not

    logs.set_stream_logger(level=logging.INFO)
    folder = ServerFolder(path)
    folder.make()
    run_server(_settings(config), folder, before=lambda: _remove_leftovers(folder))


def _remove_leftovers(folder: ServerFolder) -> None:
    """Cancel the blocks that a server which was killed has left."""
    for run in sorted(folder.runs.glob("*/ledger")):
        try:
            for label, line, _ in remove_leftovers(run.parent):
                logger.warning("pool %s of a server before this one: %s", label, line)
        except ConfigurationError as error:
            logger.warning("%s", error)


def stop(path: Path, seconds: float) -> None:
    """End the server in *path*, and wait for that.

    Raises:
        ConfigurationError: none runs there, or its blocks are not removed in time.
    """
    folder = ServerFolder(path)
    pid = folder.require({"ask": "stop"})["pid"]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if folder.is_free():
            return
        time.sleep(_LOOK)
    raise ConfigurationError(
        f"The pool server {pid} has not ended after {seconds:g} s, since it removes its blocks. See {folder.log}."
    )


def _settings(config: Path | None) -> PoolServer:
    return PoolServer() if config is None else load_pool_server(config)

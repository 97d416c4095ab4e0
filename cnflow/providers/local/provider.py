"""Provider of blocks that are plain processes on this machine: each is a manager that leads a session of its own.

::

    submit ──> settings file (0600) ──> bash -c 'worker_init; exec ...' ──> manager ──> workers
                    │                        └── all carry CNFLOW_BLOCK=RUN/EXECUTOR/BLOCK, found again by it
                    └── removed by the manager once read; with the block, if the launcher starts several managers
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnflow.addresses import addresses_of_this_machine
from cnflow.capsule import (
    CARRIED_PYTHON,
    available_kind,
    capsule_folder,
    carrying_kind,
    driver_root,
    kind_of,
    runs_workers,
    too_old,
)
from cnflow.errors import BlockError, BlockRejectedError, ConfigurationError
from cnflow.ids import NativeId
from cnflow.log_tail import last_lines
from cnflow.model.block import BlockState, BlockStatus, Refused
from cnflow.model.finding import Finding, Verdict
from cnflow.model.image import NO_IMAGE
from cnflow.providers._shared import process_sessions
from cnflow.providers._shared.block_end import block_end
from cnflow.providers._shared.exit_status import status_of_exit
from cnflow.providers._shared.manager_command import manager_command
from cnflow.providers._shared.python_path import python_path
from cnflow.providers._shared.secrets import redact
from cnflow.providers.local.client import Child, probe, write_private
from cnflow.providers.local.requests import block_argv, block_of, mark_of, mark_prefix, refuse_unfit
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cnflow.capsule import Probe
    from cnflow.config import LocalProvider
    from cnflow.ids import BlockId, RunId
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image
    from cnflow.model.node_command import NodeCommand

_GRACE = Seconds(5.0)
_LOOK = Seconds(0.02)
_UNSEEN_CAPSULE = "CAPSULE"
"""Stands in a preview for the folder that `submit` unpacks the capsule into."""


class _Started(NamedTuple):
    child: Child
    files: tuple[Path, ...]
    mark: str


class _Code(NamedTuple):
    root: Path
    """Folder that holds the package ``cnflow``."""

    python: str
    """Interpreter that runs the manager."""

    worker: Probe | None = None
    """Interpreter that runs the workers, if it is another one."""


class LocalBackend:
    """Starts managers as processes. A native id is ``PID:START``, so that a later process of that pid is not it.

    Args:
        settings: what the user wrote.
        cache_dir: where capsules are kept; None decides by `cnflow.capsule.default_cache_dir`.
        root: folder that holds the ``cnflow`` to run; None takes the driver's own, or a capsule for another Python.
    """

    def __init__(self, settings: LocalProvider, *, cache_dir: Path | None = None, root: Path | None = None) -> None:
        self._settings = settings
        self._cache_dir = cache_dir
        self._root = root
        self._job_start = time.time()
        """Unix time, close to the start of the batch job, if this driver runs in one."""
        self._started: dict[NativeId, _Started] = {}
        self._lock = threading.Lock()
        """Held while a child is reaped, and while blocks enter or leave `_ending`."""

        self._ending: set[NativeId] = set()
        """Blocks that `cancel` is ending in another thread: they are not reaped before their sessions are killed."""

    def endpoint_hosts(self) -> Collection[str]:
        """No addresses: a socket file will do, unless a launcher starts managers on other machines."""
        settings = self._settings
        is_here = settings.nodes_per_block == 1 or not settings.launcher.is_elsewhere
        return () if is_here else addresses_of_this_machine()

    def prepare(self, image: Image) -> str:
        """See that the interpreter starts and has a capsule.

        Raises:
            BlockRejectedError: an image is asked for, or the interpreter does not start.
        """
        refuse_unfit(image)
        self._find_code()
        return ""

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Start a manager for each request, in a session of its own; its output goes to the request's log file."""
        return {request.block: self._submit(request) for request in requests}

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Find blocks by the mark in the environment of their processes; none on systems without ``/proc``."""
        leaders = process_sessions.find_leaders(mark_prefix(run, executor))
        return {block_of(mark): _native_id(pid) for mark, pid in leaders.items()}

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Reap own children that ended; of a process that another driver started only its presence is known."""
        return {block: self._status(block) for block in blocks}

    def watch(self, changed: Callable[[], None]) -> Stop | None:  # noqa: ARG002 - part of the seam
        """Return None: children are polled, which takes microseconds."""
        return None

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """Ask each manager to end, which takes its workers along; kill what is left of its session after 2 s."""
        with self._lock:
            self._ending.update(blocks)
        try:
            return self._end(blocks)
        finally:
            with self._lock:
                self._ending.difference_update(blocks)

    def logs(self, block: NativeId, node: int, last: int) -> bytes:  # noqa: ARG002 - a block has one node
        """Read the file that the block's first process prints to."""
        started = self._started.get(block)
        if started is not None:
            return last_lines(started.child.log_file, last)
        pid = _living_pid(block)
        file = process_sessions.output_file(pid) if pid is not None else None
        return last_lines(file, last) if file is not None else b""

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Command line and added variables of the manager; ``CAPSULE`` and ``SETTINGS`` stand for paths."""
        refuse_unfit(request.image)
        python = self._settings.python
        root = Path(_UNSEEN_CAPSULE) if python else self._root or driver_root()
        command = self._command(request, _Code(root, python or sys.executable), "SETTINGS")
        return {
            "argv": block_argv(self._settings, command.argv, request.nodes),
            "environment": redact({**self._settings.environment, **command.environment}),
        }

    def check(self) -> Sequence[Finding]:
        """Check the interpreter that runs the workers."""
        about = "local processes"
        try:
            self.prepare(NO_IMAGE)
        except BlockError as error:
            found, _, advice = str(error).partition("\n")
            return [Finding(about, Verdict.BAD, found, advice)]
        python = self._settings.python or sys.executable
        return [Finding(about, Verdict.GOOD, f"workers run on {python}")]

    def close(self) -> None:
        """Forget the children that ended; the others run on."""
        for block in list(self._started):
            self._status(block)

    def _submit(self, request: BlockRequest) -> NativeId | Refused:
        files: list[Path] = []
        try:
            refuse_unfit(request.image)
            settings_file = f"{tempfile.gettempdir()}/cnflow-manager-{uuid.uuid4().hex}.json"
            command = self._command(request, self._find_code(), settings_file)
            for name, content in command.files.items():
                files.append(Path(name))
                write_private(files[-1], content)
            argv = block_argv(self._settings, command.argv, request.nodes)
            child = Child(argv, self._environment(command), request.log_file, request.folder)
        except (OSError, BlockError, ConfigurationError) as error:
            for file in files:
                file.unlink(missing_ok=True)
            if isinstance(error, BlockError):
                return Refused.by(error)
            return Refused.by(BlockRejectedError(f"The manager cannot be started: {error}"))
        native = _native_id(child.pid)
        self._started[native] = _Started(child, tuple(files), mark_of(request))
        return native

    def _command(self, request: BlockRequest, code: _Code, settings_file: str) -> NodeCommand:
        manager = request.manager
        if code.worker is not None:
            manager = manager.with_worker_python(code.worker.executable, code.worker.version)
        command = request.command or manager_command(
            manager,
            python=code.python,
            root=str(code.root),
            settings_file=settings_file,
            is_isolated=self._settings.python is not None,
            is_shared=request.nodes > 1,
        )
        return replace(command, environment={**command.environment, process_sessions.MARK: mark_of(request)})

    def _environment(self, command: NodeCommand) -> dict[str, str]:
        environment = {**os.environ, **self._settings.environment, **command.environment}
        if self._settings.python is None:
            environment["PYTHONPATH"] = python_path(sys.path, environment.get("PYTHONPATH", ""))
        return environment | block_end(environment, self._job_start)

    def _find_code(self) -> _Code:
        """Return what runs the manager: a capsule unless the driver's own Python runs it, and which Python."""
        python = self._settings.python
        if python is None:
            return _Code(self._root or driver_root(), sys.executable)
        where = f"the interpreter {python}"
        found = probe(python)
        kind = kind_of(found, where, carrying_kind())
        if kind.carries_python and not runs_workers(found):
            raise too_old(where, found)
        if self._root is not None:
            return _Code(self._root, python)
        kind = available_kind(kind, self._cache_dir)
        root = capsule_folder(kind, self._cache_dir)
        return _Code(root, str(root / CARRIED_PYTHON), found) if kind.carries_python else _Code(root, python)

    def _status(self, block: NativeId) -> BlockStatus:
        started = self._started.get(block)
        if started is None:
            return BlockStatus(BlockState.RUNNING if _living_pid(block) is not None else BlockState.GONE)
        with self._lock:
            if block in self._ending:
                return BlockStatus(BlockState.UNKNOWN, "It is being cancelled.")
            was_reaped = started.child.is_reaped
            code = started.child.poll()
            if code is not None and not was_reaped:
                process_sessions.kill(started.child.pid)  # at once: later the id may be another's
        if code is None:
            return BlockStatus(BlockState.RUNNING)
        if not was_reaped:
            self._clean_up(started)
        return status_of_exit(code, started.child.log_file)

    def _end(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        leaders = {pid: process_sessions.mark_of(pid) for block in blocks if (pid := self._pid(block)) is not None}
        process_sessions.end(leaders, _GRACE)
        for mark in filter(None, leaders.values()):
            process_sessions.kill_marked(mark)
        for block in blocks:
            self._forget(block)
        deadline = time.monotonic() + _GRACE  # those that are not our children cannot be waited for
        while (left := [block for block in blocks if _living_pid(block)]) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        return dict.fromkeys(left, "its first process does not end")

    def _pid(self, block: NativeId) -> int | None:
        """Return the process id of *block* while it cannot be another's: it runs, or was not reaped yet."""
        started = self._started.get(block)
        if started is not None and not started.child.is_reaped:
            return started.child.pid
        return _living_pid(block)

    def _forget(self, block: NativeId) -> None:
        started = self._started.pop(block, None)
        if started is not None:
            started.child.wait()
            self._clean_up(started)

    def _clean_up(self, started: _Started) -> None:
        process_sessions.kill_marked(started.mark)
        for file in started.files:
            file.unlink(missing_ok=True)


def _native_id(pid: int) -> NativeId:
    return NativeId(f"{pid}:{process_sessions.start_of(pid)}")


def _living_pid(block: NativeId) -> int | None:
    """Return the process id of a block whose first process still runs."""
    pid, _, since = block.partition(":")
    return int(pid) if pid.isdigit() and process_sessions.lives(int(pid), since) else None

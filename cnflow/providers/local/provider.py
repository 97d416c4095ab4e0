"""Blocks that are plain processes on this machine: each is a manager at the head of a session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnflow.capsule import PROBE_OPTIONS, Probe, capsule_folder, driver_root, kind_of, no_python, parse_probe
from cnflow.errors import BlockRejectedError
from cnflow.ids import NativeId
from cnflow.libraries import holds_libraries
from cnflow.model.block import BlockState, BlockStatus
from cnflow.providers._shared import process_sessions
from cnflow.providers._shared.block_end import block_end
from cnflow.providers._shared.exit_status import ending
from cnflow.providers.local.shell import after
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cnflow.config import LocalProvider
    from cnflow.model.block import BlockRequest

_GRACE = Seconds(2.0)
_PROBE_TIMEOUT = Seconds(30.0)


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    settings_file: Path
    log_file: Path
    mark: str
    """In the environment of all that it started."""


class LocalBackend:
    """Starts managers as processes. A native id is ``PID:START``, so that a later process of that pid is not it.

    Args:
        settings: what the user wrote.
        cache_dir: where capsules are kept; None decides by `cnflow.capsule.default_cache_dir`.
        root: folder that holds the ``cnflow`` to run; None takes the driver's own, or a capsule for another Python.
    """

    runs_images = False
    poll_period = 0.2

    def __init__(self, settings: LocalProvider, *, cache_dir: Path | None = None, root: Path | None = None) -> None:
        self._settings = settings
        self._cache_dir = cache_dir
        self._root = root
        self._children: dict[NativeId, _Child] = {}
        self._job_start = time.time()  # of a batch job that the driver may run in, as near as is known

    def endpoint_hosts(self) -> Collection[str]:
        """None: a socket file will do."""
        return ()

    def prepare(self, image: str) -> str:
        """See that this provider can run what is asked for; with another Python, that it starts and has a capsule.

        Raises:
            BlockRejectedError: an image or several nodes are asked for, or the interpreter does not start.
        """
        _refuse(image, self._settings.nodes_per_block)
        self._command()
        return ""

    def submit(self, request: BlockRequest) -> NativeId:
        """Start a manager; it is in its own session, and its output goes to the request's log file.

        Raises:
            BlockRejectedError: nothing was started and no file is left.
        """
        _refuse(request.image, self._settings.nodes_per_block)
        command, mark = self._command(), uuid.uuid4().hex
        environment = {**self._environment(), process_sessions.MARK: mark}
        environment |= block_end(environment, self._job_start)
        settings_file = _private_file(request.manager.to_json())
        try:
            with request.log_file.open("ab") as log:
                process = subprocess.Popen(
                    after(self._settings.worker_init, [*command, str(settings_file)]),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            settings_file.unlink()
            raise BlockRejectedError(f"The manager cannot be started: {error}") from error
        native = NativeId(f"{process.pid}:{process_sessions.started(process.pid)}")
        self._children[native] = _Child(process, settings_file, request.log_file, mark)
        return native

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Own children are reaped here; of a process that another driver started only its being there is known."""
        return {block: self._status(block) for block in blocks}

    def cancel(self, blocks: Collection[NativeId]) -> None:
        """Ask each manager to end, which takes its workers along; kill what is left of its session after 2 s."""
        process_sessions.end([pid for block in blocks if (pid := self._pid(block)) is not None], _GRACE)
        for block in blocks:
            self._forget(block)

    def close(self) -> None:
        """Forget the children that ended; the others run on."""
        for block in list(self._children):
            self._status(block)

    def _status(self, block: NativeId) -> BlockStatus:
        child = self._children.get(block)
        if child is None:
            return BlockStatus(BlockState.RUNNING if _living(block) is not None else BlockState.GONE)
        if child.process.returncode is None:
            if child.process.poll() is None:
                return BlockStatus(BlockState.RUNNING)
            process_sessions.kill(child.process.pid)  # at once: later the id may be another's
            process_sessions.kill_marked(child.mark)
            child.settings_file.unlink(missing_ok=True)
        return ending(child.process.returncode, child.log_file)

    def _pid(self, block: NativeId) -> int | None:
        """The process id of *block* as long as it is surely its own: it runs, or was not reaped yet."""
        child = self._children.get(block)
        if child is not None and child.process.returncode is None:
            return child.process.pid
        return _living(block)

    def _forget(self, block: NativeId) -> None:
        child = self._children.pop(block, None)
        if child is not None:
            child.process.wait()
            process_sessions.kill_marked(child.mark)
            child.settings_file.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        python = self._settings.python
        if python is None:
            return [sys.executable, _entry(self._root or driver_root())]
        kind = kind_of(_probe(python), f"the interpreter {python}")
        return [python, "-I", _entry(self._root or capsule_folder(kind, self._cache_dir))]

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, **self._settings.environment}
        if self._settings.python is None:
            environment["PYTHONPATH"] = python_path(sys.path, environment.get("PYTHONPATH", ""))
        return environment


def python_path(search: Sequence[str], before: str) -> str:
    """PYTHONPATH with which a worker finds the user's own modules: beside his script, and where he added folders.

    Args:
        search: as `sys.path`; an empty entry is the current folder, as in an interactive session.
        before: PYTHONPATH as it is.
    """
    own = [str(Path(entry).absolute()) for entry in search if not holds_libraries(Path(entry))]
    return os.pathsep.join(dict.fromkeys(part for part in (*own, before) if part))


def _refuse(image: str, nodes: int) -> None:
    if image:
        raise BlockRejectedError(
            f"LocalProvider starts processes on this machine and cannot run image {image!r}. Use DockerProvider, or "
            f"Config(ignore_images=True) to run every app on the bare node.",
        )
    if nodes != 1:
        raise BlockRejectedError(f"nodes_per_block={nodes}: LocalProvider has one node, this machine.")


def _probe(python: str) -> Probe:
    where = f"the interpreter {python}"
    command: Sequence[str] = [python, *PROBE_OPTIONS]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        # A timeout's words would hold the whole probe script.
        words = str(error) if isinstance(error, OSError) else f"no answer within {_PROBE_TIMEOUT:.0f} s"
        raise no_python(where, words) from error
    probe = parse_probe(done.stdout)
    if probe is None:
        raise no_python(where, (done.stderr or done.stdout).strip() or f"it exited with code {done.returncode}")
    return probe


def _private_file(content: bytes) -> Path:
    """A new file of mode 0600 (mkstemp makes no other); the manager removes it once it is read."""
    descriptor, name = tempfile.mkstemp(prefix="cnflow-manager-", suffix=".json")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return Path(name)


def _entry(root: Path) -> str:
    return str(root / "cnflow" / "manager" / "__main__.py")


def _living(block: NativeId) -> int | None:
    """The process id of a block whose first process still runs."""
    pid, _, since = block.partition(":")
    return int(pid) if pid.isdigit() and process_sessions.lives(int(pid), since) else None

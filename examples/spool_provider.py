"""A complete provider for cnflow: blocks are jobs of a spool, a folder with one folder for each job.

::

    spool/cnflow-RUN-EXECUTOR-BLOCK/   native id: the folder's name
        block       RUN/EXECUTOR/BLOCK, by which `SpoolBackend.find` finds the job
        settings    of the manager, mode 0600: it holds keys
        pid         of the job's first process, the leader of its session
        output      of the job
        exit        its exit code, once it has ended
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cnflow.capsule import driver_root
from cnflow.config import ProviderSettings
from cnflow.errors import BlockRejectedError
from cnflow.ids import BlockId, NativeId, RunId
from cnflow.model.block import BlockRequest, BlockState, BlockStatus, EndCause, Refused
from cnflow.model.finding import Finding, Verdict
from cnflow.model.traits import LogsVia, Traits
from cnflow.providers import manager_command
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cnflow.model.node_command import NodeCommand

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""

# The shell outlives SIGTERM, so that it records the exit code of its command.
JOB = 'trap : TERM; "$@" >output 2>&1 </dev/null; echo $? >exit.new; mv exit.new exit'


# Settings: the user's half. A value without I/O, which Config checks, prints, copies and writes to files.


class SpoolProvider(ProviderSettings):
    """Blocks are jobs of a spool on this machine."""

    backend: ClassVar[str] = "spool_provider:SpoolBackend"
    kind: Literal["spool"] = "spool"
    spool: str = "spool"
    """Folder of the jobs."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Variables added to the environment of the jobs."""

    def traits(self) -> Traits:
        """Traits of jobs of a spool."""
        return Traits(logs=LogsVia.ON_REQUEST, poll_period=Seconds(0.2), cores=float(os.cpu_count() or 1))


# Requests: what is sent, as a pure function of the request.


def command_of(request: BlockRequest, job: Path) -> NodeCommand:
    """Return the command of a job; the file ``settings`` of its folder holds the manager's settings."""
    return request.command or manager_command(
        request.manager,
        python=sys.executable,
        root=str(driver_root()),
        settings_file=str(job / "settings"),
        is_isolated=False,
    )


def refuse_unfit(image: str, nodes: int) -> None:
    """Refuse a request that no job can fulfil.

    Raises:
        BlockRejectedError: an image or several nodes are requested.
    """
    if image:
        raise BlockRejectedError(f"SpoolProvider runs no images, and {image!r} was requested. Use DockerProvider.")
    if nodes != 1:
        raise BlockRejectedError(
            f"nodes_per_block={nodes}: a job of SpoolProvider has one node. Use nodes_per_block=1."
        )


# Backend: the live half. It keeps no list of its jobs, so that a new one, after a crash, can do the same.


class SpoolBackend:
    """Satisfies `cnflow.interfaces.Provider`."""

    def __init__(self, settings: SpoolProvider) -> None:
        self._settings = settings
        self._spool = Path(settings.spool).absolute()

    def endpoint_hosts(self) -> Collection[str]:
        """No addresses: jobs run on this machine, where a socket file is enough."""
        return ()

    def prepare(self, image: str) -> str:
        """Refuse images and several nodes; a bare node has no digest."""
        refuse_unfit(image, self._settings.nodes_per_block)
        return ""

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Start a job for each request."""
        return {request.block: self._submit(request) for request in requests}

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Running jobs whose file ``block`` names *run* and *executor*."""
        found = {}
        for file in self._spool.glob("*/block"):
            try:
                *owner, block = file.read_text().split("/")
            except FileNotFoundError:  # `cancel`, in another thread, has removed the job since
                continue
            if owner == [run, executor] and self._state(file.parent).state is BlockState.RUNNING:
                found[BlockId(block)] = NativeId(file.parent.name)
        return found

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Read the file ``exit`` of each job, or look for its first process."""
        return {block: self._state(self._spool / block) for block in blocks}

    def watch(self, changed: Callable[[], None]) -> None:
        """Return None: a spool sends no events, so that the block controller polls."""

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """End all jobs by SIGTERM, after `GRACE` by SIGKILL, and remove their folders."""
        jobs = [self._spool / block for block in blocks]
        for job in jobs:
            send(signal.SIGTERM, job)
        deadline = time.monotonic() + GRACE
        while any(self._state(job).state is BlockState.RUNNING for job in jobs) and time.monotonic() < deadline:
            time.sleep(0.02)
        for job in jobs:
            send(signal.SIGKILL, job)
            shutil.rmtree(job, ignore_errors=True)
        return {}

    def logs(self, block: NativeId, node: int, last: int) -> bytes:  # noqa: ARG002 - a job has one node
        """Return the end of the file ``output``."""
        with contextlib.suppress(FileNotFoundError):
            return b"".join((self._spool / block / "output").read_bytes().splitlines(keepends=True)[-last:])
        return b""

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Command line and names of the variables; their values, and the settings, may be secret."""
        refuse_unfit(request.image, request.nodes)
        job = self._spool / request.name
        return {
            "job": str(job),
            "argv": command_of(request, job).argv,
            "environment": sorted(self._settings.environment),
        }

    def check(self) -> Sequence[Finding]:
        """Check that the spool can be written to."""
        parent = next(folder for folder in (self._spool, *self._spool.parents) if folder.exists())
        if os.access(parent, os.W_OK):
            return [Finding("spool", Verdict.GOOD, f"jobs are in {self._spool}")]
        return [
            Finding("spool", Verdict.ABSENT, f"{parent} cannot be written to", "Choose another folder for `spool`.")
        ]

    def close(self) -> None:
        """Nothing is open."""

    def _submit(self, request: BlockRequest) -> NativeId | Refused:
        job = self._spool / request.name
        try:
            refuse_unfit(request.image, request.nodes)
            job.mkdir(parents=True)
            command = command_of(request, job)
            for path, content in command.files.items():
                Path(path).touch(mode=0o600)
                Path(path).write_bytes(content)
            (job / "block").write_text(f"{request.run}/{request.executor}/{request.block}")
            process = subprocess.Popen(
                ["/bin/sh", "-c", JOB, "sh", *command.argv],
                cwd=job,
                env={**os.environ, **self._settings.environment, **command.environment},
                start_new_session=True,
            )
            (job / "pid").write_text(str(process.pid))
        except BlockRejectedError as error:
            return Refused.by(error)
        except OSError as error:
            return Refused.by(BlockRejectedError(f"The job {request.name} cannot be started: {error}"))
        process.returncode = 0  # `lives` waits for it
        return NativeId(job.name)

    def _state(self, job: Path) -> BlockStatus:
        if not job.exists():
            return BlockStatus(BlockState.GONE)
        if lives(job):
            return BlockStatus(BlockState.RUNNING)
        try:
            code = int((job / "exit").read_text())
        except FileNotFoundError:
            if not job.exists():  # removed meanwhile
                return BlockStatus(BlockState.GONE)
            return BlockStatus(BlockState.FAILED, "the job was killed", EndCause.OTHER)
        if code == 0:
            return BlockStatus(BlockState.ENDED, exit_code=0)
        return BlockStatus(BlockState.FAILED, f"the job ended with exit code {code}", EndCause.OTHER, code)


def lives(job: Path) -> bool:
    """Return True while the job's first process runs."""
    try:
        pid = int((job / "pid").read_text())
        with contextlib.suppress(ChildProcessError):  # it was started by another driver
            os.waitpid(pid, os.WNOHANG)
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def send(number: int, job: Path) -> None:
    """Send a signal to the job's processes, if there are any."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.killpg(int((job / "pid").read_text()), number)

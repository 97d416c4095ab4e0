"""Jobs of blocks: which blocks share a job array, and how a job is called. No I/O.

::

    requests of blocks 4, 5, 6, 9 ──jobs_of──> array cnflow-RUN-EXECUTOR-4.6, job cnflow-RUN-EXECUTOR-9
    name, element 1               ──block_in─> block 5
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cnflow.ids import BlockId, RunId
from cnflow.model.block import block_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.block import BlockRequest

_NAME = re.compile(r"(?P<head>cnflow-.+-)(?P<first>\d+)(\.(?P<last>\d+))?", re.ASCII)
_RUN = re.compile(r"cnflow-(?P<run>[0-9a-f]{12})-(?P<executor>.+)-\d+(\.\d+)?", re.ASCII)
_BLOCKS = re.compile(r"(?P<first>\d+)(\.(?P<last>\d+))?", re.ASCII)


class Job(NamedTuple):
    """A job, or an array of jobs whose blocks have consecutive numbers."""

    requests: tuple[BlockRequest, ...]

    @property
    def name(self) -> str:
        """Name of the job, which all elements of an array share."""
        first, last = self.requests[0], self.requests[-1]
        return first.name if first is last else f"{first.name}.{last.block}"

    @property
    def first(self) -> BlockRequest:
        """Request of the first element."""
        return self.requests[0]


def jobs_of(requests: Sequence[BlockRequest], *, has_arrays: bool, longest: int = 1000) -> list[Job]:
    """Group *requests* so that each group is one submission.

    Args:
        requests: in order of their blocks.
        has_arrays: the scheduler has job arrays.
        longest: elements of an array; Slurm's default of MaxArraySize is 1001.
    """
    jobs: list[list[BlockRequest]] = []
    for request in requests:
        if has_arrays and jobs and len(jobs[-1]) < longest and _follows(jobs[-1][-1], request):
            jobs[-1].append(request)
        else:
            jobs.append([request])
    return [Job(tuple(job)) for job in jobs]


def _follows(before: BlockRequest, request: BlockRequest) -> bool:
    """Return whether *request* differs from the one *before* by the next number of a block alone."""

    def others(each: BlockRequest) -> tuple[object, ...]:
        return each.run, each.executor, each.image, each.nodes, each.walltime, each.folder, each.shared_folders

    if before.command != request.command or others(before) != others(request):
        return False
    if request.command is not None and request.command.files:
        return False
    return request.block.isdigit() and before.block.isdigit() and int(request.block) == int(before.block) + 1


def block_in(name: str, element: int, run: RunId, executor: str) -> BlockId | None:
    """Return the block of an *element* of the job *name*; None for a job of another run or executor."""
    prefix = block_name(run, executor, BlockId(""))
    blocks = _BLOCKS.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
    if blocks is None:
        return None
    return BlockId(str(int(blocks["first"]) + element)) if blocks["last"] else BlockId(blocks["first"])


def run_and_executor(name: str) -> tuple[RunId, str] | None:
    """Return the run of the job *name*, and its executor; None for a job that is no block of a run."""
    parts = _RUN.fullmatch(name)
    return None if parts is None else (RunId(parts["run"]), parts["executor"])


def element_name(name: str, element: int) -> str:
    """Return the name of the block of an *element* of the job *name*; empty for a job that is no block."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return ""
    return f"{parts['head']}{int(parts['first']) + element}" if parts["last"] else name

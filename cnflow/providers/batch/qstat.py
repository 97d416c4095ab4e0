r"""Reads the output of ``qstat -f`` of the PBS family, and what its answers mean. No I/O.

::

    Job Id: 1001.server                        PBS: attributes begin with 4 spaces,
        Job_Name = cnflow-1-htex-0             continued lines with a tab
        job_state = Q
        comment = Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0
    \tT: 8)
    Job Id:\t12                                Debian's Torque commands for Slurm: attributes begin with a tab
    \tJob_Name = cnflow-1-htex-0
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnflow.ids import NativeId
from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.providers.batch.ends import end_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.interfaces.channel import Completed

_HEAD = re.compile(r"Job Id:\s*(\S+)")
_ATTRIBUTE = re.compile(r"(?: {4}|\t)([A-Za-z_]\w*(?:\.\w+)?) = (.*)")
_GONE = re.compile(r"Unknown Job Id|Job has finished|Unknown job", re.IGNORECASE)
_NOT_THERE = 153
"""Exit code of qstat for an unknown job: PBSE_UNKJOBID is 15001, modulo 256."""

_SIGNALLED = 256
"""Codes of jobs above it are the number of a signal and this: "Job Exit Codes" in the PBS guides."""

# qstat(1B) of PBS Professional 2022.1 and of Torque 6.1, "job_state".
_PENDING = set("QWTH")
_RUNNING = set("REBSU")
_FINAL = set("FCXM")

Job = dict[str, str]
"""Attributes of a job by name."""


def jobs_in(text: str) -> dict[NativeId, Job]:
    """Attributes of each job in the output of ``qstat -f``."""
    jobs: dict[NativeId, Job] = {}
    job: Job = {}
    last = ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            job = jobs.setdefault(NativeId(head[1]), {})
        elif attribute := _ATTRIBUTE.match(line):
            last, job[attribute[1]] = attribute[1], attribute[2]
        elif line.startswith("\t") and last in job:
            job[last] += line[1:]
    return jobs


def has_answered(output: Completed) -> bool:
    """Return whether the scheduler answered: all that *output* complains of is that jobs are unknown or over."""
    lines = [line for line in output.stderr.splitlines() if line.strip()]
    if output.exit_code == 0 or (output.exit_code == _NOT_THERE and not lines):
        return True
    return bool(lines) and all(_GONE.search(line) for line in lines)


def living(job: Job) -> BlockStatus | None:
    """Status of a job that has not ended; None for one that has."""
    state = job.get("job_state", "")
    comment = job.get("comment", "").strip()
    if state in _FINAL:
        return None
    if state in _PENDING:
        return _waiting(state, comment, job)
    if state in _RUNNING:
        return BlockStatus(
            BlockState.RUNNING, f"suspended. {comment}".strip() if state in "SU" else "", hosts=hosts_of(job)
        )
    return BlockStatus(BlockState.UNKNOWN, f"state {state!r}")


def _waiting(state: str, comment: str, job: Job) -> BlockStatus:
    start = job.get("estimated.start_time", "")
    expected = f"; expected to start at {start}" if start else ""
    if comment.startswith("Can Never Run"):
        words = f"PBS can never run the job: {comment}. Ask for less, or for nodes that the site has."
        return BlockStatus(BlockState.FAILED, words, EndCause.OTHER)
    if state != "H":
        reason = comment or f"waits in the queue {job.get('queue', '')}, no reason is given"
        return BlockStatus(BlockState.PENDING, f"{reason}{expected}")
    if "too many failed attempts" in comment:
        return BlockStatus(BlockState.FAILED, f"PBS could not start the job: {comment}", EndCause.OTHER)
    return BlockStatus(BlockState.PENDING, f"held; `qrls` releases it. {comment}".rstrip())


def hosts_of(job: Job) -> tuple[str, ...]:
    """Names of the nodes in ``exec_host``, such as ``n1/0*4+n2/0*4`` or ``n1/0+n1/1+n2/0``, without repetition."""
    places = filter(None, job.get("exec_host", "").split("+"))
    return tuple(dict.fromkeys(place.partition("/")[0] for place in places))


def ended(job: Job, codes: Mapping[int, EndCause]) -> BlockStatus | None:
    """Final status of a job; None for one that has not ended.

    Args:
        job: its attributes.
        codes: cause by exit status, for those that the scheduler itself sets.
    """
    if job.get("job_state", "") not in _FINAL:
        return None
    comment = job.get("comment", "").strip()
    status = _number(job.get("Exit_status", job.get("exit_status", "")))
    cancelled = comment.endswith("and terminated") or "deleted" in comment
    if status is None:
        gone = BlockStatus(BlockState.GONE, comment or "PBS keeps no exit status of it")
        return end_status(f"PBS: {comment}", cause=EndCause.USER) if cancelled else gone
    words = f"PBS: {comment}" if comment else ""
    if status < 0:
        return end_status(f"PBS: {comment} (exit status {status})", cause=codes.get(status, EndCause.OTHER))
    if status < _SIGNALLED:
        return end_status(words, cause=None, exit_code=status)
    cause = EndCause.WALLTIME if _ran_out(job) else EndCause.USER if cancelled else None
    return end_status(words, cause=cause, exit_code=128 + status - _SIGNALLED)


def seconds_in(text: str) -> float | None:
    """Seconds of ``HH:MM:SS``, or of a number; None for another text."""
    parts = text.split(":")
    if not text or not all(part.isdigit() for part in parts):
        return None
    total = 0
    for part in parts:
        total = 60 * total + int(part)
    return float(total)


def clock_text(seconds: float) -> str:
    """*seconds* as ``HH:MM:SS``, rounded up."""
    whole = int(-(-seconds // 1))
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _ran_out(job: Job) -> bool:
    limit = seconds_in(job.get("Resource_List.walltime", ""))
    used = seconds_in(job.get("resources_used.walltime", ""))
    return limit is not None and used is not None and used >= limit


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d+", text) else None

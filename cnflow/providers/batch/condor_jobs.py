"""Jobs of HTCondor as their attributes show them: states, ends and their causes, and the rule that removes them; pure.

A job that has run and waits again was evicted. It is not to start a second time: `removal_rule` has the schedd remove
it, and also a job that is held for a fault, and one that has run for its walltime; `end_of` finds out which it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnflow.ids import NativeId
from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.providers.batch.ends import end_status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# https://htcondor.readthedocs.io/en/23.0/classad-attributes/job-classad-attributes.html: JobStatus, HoldReasonCode
_IDLE, _RUNNING, REMOVED, COMPLETED, _HELD, _TRANSFERS, _SUSPENDED = range(1, 8)
_LIVES = {
    _IDLE: BlockState.PENDING,
    _RUNNING: BlockState.RUNNING,
    _TRANSFERS: BlockState.RUNNING,
    _SUSPENDED: BlockState.RUNNING,
}
_BY_USER = (1, 15)  # condor_hold, and "hold = True" in the description
_HOLD_CAUSES = {34: EndCause.OOM, 46: EndCause.WALLTIME, 47: EndCause.WALLTIME}

STATUS = ("JobStatus", "NumJobStarts", "HoldReasonCode", "HoldReason", "LastRejMatchReason", "RemoteHost")
ENDS = (
    "JobStatus",
    "ExitCode",
    "ExitSignal",
    "LastJobStatus",
    "NumJobStarts",
    "LastHoldReasonCode",
    "LastHoldReason",
    "LastRemoteHost",
    "RemoveReason",
)
_UNDEFINED = "undefined"


def removal_rule(walltime: float | None) -> str:
    """Expression by which the schedd removes a job: it was evicted, is held for a fault, or ran for its walltime."""
    evicted = f"(JobStatus == {_IDLE} && NumJobStarts > 0)"
    faulty = " && ".join(f"HoldReasonCode =!= {code}" for code in _BY_USER)
    held = f"(JobStatus == {_HELD} && {faulty})"
    late = f"(JobStatus == {_RUNNING} && time() - EnteredCurrentStatus > {round(walltime)})" if walltime else ""
    return " || ".join(filter(None, (evicted, held, late)))


def rows_of(text: str, fields: Sequence[str]) -> Iterator[tuple[NativeId, dict[str, str]]]:
    """Rows of the output of ``-af:jt``: the id, then the values; one that is undefined is missing."""
    for line in text.splitlines():
        native, *values = line.split("\t")
        if re.fullmatch(r"\d+\.\d+", native, re.ASCII) and len(values) == len(fields):
            known = zip(fields, (value.strip() for value in values), strict=True)
            yield NativeId(native), {field: value for field, value in known if value != _UNDEFINED}


def state_of(row: Mapping[str, str]) -> BlockStatus:
    """State of a job in the queue, by its attributes of `STATUS`."""
    status = _number(row, "JobStatus")
    if status == _HELD:
        return _held(row)
    if status == _IDLE and (_number(row, "NumJobStarts") or 0) > 0:
        return _evicted(row)
    state = _LIVES.get(status or 0)
    if state is None:
        return BlockStatus(BlockState.UNKNOWN, "HTCondor: it ends")  # its history follows
    if state is BlockState.PENDING:
        reason = row.get("LastRejMatchReason", "") or "no machine was looked for yet"
        return BlockStatus(state, f"waits in HTCondor's queue: {reason}")
    host = row.get("RemoteHost", "").rpartition("@")[2]
    return BlockStatus(state, hosts=(host,) if host else ())


def _held(row: Mapping[str, str]) -> BlockStatus:
    code, reason = _number(row, "HoldReasonCode"), row.get("HoldReason", "")
    if code in _BY_USER:
        return BlockStatus(
            BlockState.PENDING, f"waits in HTCondor's queue: held, {reason}; 'condor_release' lets it go"
        )
    return _hold_end(code, reason)


def _hold_end(code: int | None, reason: str) -> BlockStatus:
    """End of a job that HTCondor holds for a fault, for which `removal_rule` removes it."""
    cause = _HOLD_CAUSES.get(code or 0, EndCause.OTHER)
    return end_status(f"HTCondor: held: {reason or 'it gives no reason'}", cause=cause)


def _evicted(row: Mapping[str, str]) -> BlockStatus:
    host = row.get("LastRemoteHost", "").rpartition("@")[2]
    return end_status(f"HTCondor: evicted{f' from {host}' if host else ''}", cause=EndCause.PREEMPTED)


def end_of(row: Mapping[str, str]) -> BlockStatus:
    """End of a job of the history, by its attributes of `ENDS`."""
    if _number(row, "JobStatus") != COMPLETED:
        return _removal_of(row)
    signal, code = _number(row, "ExitSignal"), _number(row, "ExitCode")
    return end_status("", exit_code=code if signal is None else -signal)


def _removal_of(row: Mapping[str, str]) -> BlockStatus:
    """End of a job that was removed: by `removal_rule`, by a person, or by a rule of the pool."""
    reason, before = row.get("RemoveReason", ""), _number(row, "LastJobStatus")
    if "via condor_rm" in reason:
        return end_status(f"HTCondor: removed {reason}", cause=EndCause.USER)
    if before == _HELD:
        return _hold_end(_number(row, "LastHoldReasonCode"), row.get("LastHoldReason", ""))
    if "PeriodicRemove expression" not in reason:
        return end_status(f"HTCondor: removed: {reason}", cause=EndCause.OTHER)
    if before == _IDLE:
        return _evicted(row)
    return end_status("HTCondor: removed", cause=EndCause.WALLTIME)


def _number(row: Mapping[str, str], name: str) -> int | None:
    text = row.get(name, "")
    return int(text) if text.lstrip("-").isdigit() else None

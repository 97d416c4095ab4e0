"""The dialect of Slurm, from 20.11 to 25.05.

::

    sbatch --parsable SCRIPT                      "123", or "123;cluster"
    squeue --states=all --array --jobs=123        "123_0|RUNNING|None|n1|2026-11-26T04:18:47"
    sacct, then scontrol show job                 "123_0|FAILED|3:0|", "JobId=123 ... JobState=FAILED ExitCode=3:0"
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, cast

from cnflow.errors import ConfigurationError
from cnflow.ids import NativeId
from cnflow.model.block import BlockState, BlockStatus, EndCause, Refused
from cnflow.providers.batch import slurm_words as words
from cnflow.providers.batch.ends import end_status
from cnflow.providers.batch.host_lists import expand
from cnflow.providers.batch.refusals import refusal
from cnflow.units import bytes_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.config.slurm import SlurmProvider
    from cnflow.interfaces.channel import Completed
    from cnflow.providers.batch.dialect import JobRequest

# Codes: https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES (Slurm 25.05); of those that are absent the state
# is not known to this version: the block is left as it is.
_LIVING: Mapping[str, BlockState] = {
    "PENDING": BlockState.PENDING,
    "CONFIGURING": BlockState.PENDING,
    "REQUEUED": BlockState.PENDING,
    "REQUEUE_FED": BlockState.PENDING,
    "REQUEUE_HOLD": BlockState.PENDING,
    "SPECIAL_EXIT": BlockState.PENDING,
    "RESV_DEL_HOLD": BlockState.PENDING,
    "RUNNING": BlockState.RUNNING,
    "COMPLETING": BlockState.RUNNING,
    "SIGNALING": BlockState.RUNNING,
    "RESIZING": BlockState.RUNNING,
    "STAGE_OUT": BlockState.RUNNING,
    "STOPPED": BlockState.RUNNING,
    "SUSPENDED": BlockState.RUNNING,
}
_ENDED: Mapping[str, EndCause | None] = {
    "COMPLETED": None,
    "FAILED": None,
    "CANCELLED": EndCause.USER,
    "TIMEOUT": EndCause.WALLTIME,
    "DEADLINE": EndCause.WALLTIME,
    "PREEMPTED": EndCause.PREEMPTED,
    "OUT_OF_MEMORY": EndCause.OOM,
    "NODE_FAIL": EndCause.NODE,
    "BOOT_FAIL": EndCause.NODE,
    "LAUNCH_FAILED": EndCause.NODE,
    "REVOKED": EndCause.OTHER,
}
_SUBMITTED = re.compile(r"^(\d+)(;\S+)?$", re.MULTILINE)
_FIELD = re.compile(r"(\w+)=(\S*)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NO_JOB = "Invalid job id"
_SHORTEST_WITH_NOTICE = 10
"""Notices that a job lasts at least: a shorter one would accept no task for most of its time."""

# sacct is without an answer where no accounting is set up, and for some seconds after a job's end. The controller keeps
# ended jobs for MinJobAge, 300 s by default.
_ENDS = """\
clusters=$1; shift
for id; do list="${list:+$list,}$id"; done
sacct $clusters --allocations --noheader --parsable2 --format=JobID,State,ExitCode,Reason --jobs="$list" 2>/dev/null
for id; do scontrol $clusters --oneliner show job "$id" 2>/dev/null; done
exit 0
"""


# SLURM_JOB_END_TIME is there since 23.02; before, the queue tells the end.
_BLOCK_END = """\
if [ -z "${SLURM_JOB_END_TIME:-}" ]; then
  end=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%e 2>/dev/null | head -n 1)
  case $end in [0-9]*) SLURM_JOB_END_TIME=$(date -d "$end" +%s 2>/dev/null);; esac
fi"""


class SlurmDialect:
    """See `cnflow.providers.batch.dialect.Dialect`."""

    name = "Slurm"
    programs = ("sbatch", "squeue", "scancel", "scontrol")
    has_arrays = True
    index_variable = "SLURM_ARRAY_TASK_ID"
    first_index = 0

    def refuse(self, settings: BatchSettings) -> None:
        """Refuse several clusters."""
        own = _own(settings)
        if own.clusters and "," in own.clusters:
            raise ConfigurationError(
                f"SlurmProvider(clusters={own.clusters!r}): blocks of one executor go to one cluster. Make an executor "
                "for each."
            )

    def submit_script(self, settings: BatchSettings, request: JobRequest) -> str:
        """Script for ``sbatch``; see https://slurm.schedmd.com/sbatch.html (Slurm 25.05)."""
        own = _own(settings)
        is_array = request.size > 1
        options = {
            "job-name": request.name,
            "output": _quoted(request.output) + (".%a" if is_array else ""),
            "open-mode": "append",
            "comment": "cnflow",
            "nodes": request.nodes,
            "ntasks-per-node": 1,
            "time": None if request.walltime is None else _minutes(request.walltime),
            "array": f"0-{request.size - 1}" if is_array else None,
            "signal": _notice(settings, request),
            "partition": own.partition,
            "account": own.account,
            "qos": own.qos,
            "constraint": own.constraint,
            "reservation": own.reservation,
            "cpus-per-task": own.cores_per_node,
            "mem": None if own.mem_per_node is None else f"{-(-bytes_in(own.mem_per_node) // 2**20)}M",
            "gpus-per-node": own.gpus_per_node,
            "gres": own.gres,
        }
        lines = [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
        lines += ["#SBATCH --exclusive"] if own.exclusive else []
        # The driver asks for another block, where a job that waits again would be taken for one that does not start.
        lines.append("#SBATCH --no-requeue")
        lines += ["#SBATCH --no-kill"] if request.nodes > 1 else []  # the failure of a node is that of its tasks alone
        lines += [settings.scheduler_options.strip("\n")] if settings.scheduler_options.strip() else []
        return "\n".join(["#!/bin/sh", *lines, _BLOCK_END, request.body])

    def submit_command(self, settings: BatchSettings, path: str) -> list[str]:
        """Submit a script."""
        return ["sbatch", *_clusters(settings), "--parsable", path]

    def job_ids_of(self, output: Completed, size: int) -> list[NativeId]:
        """Ids such as ``123``, or ``123_0`` in an array."""
        found = _SUBMITTED.search(output.stdout)
        if found is None:
            raise ValueError(f"sbatch printed {output.stdout!r} and no number of a job")
        return [NativeId(found[1])] if size == 1 else [NativeId(f"{found[1]}_{index}") for index in range(size)]

    def element_of(self, native: NativeId) -> int:
        """Number behind the underscore."""
        return int(native.partition("_")[2] or 0)

    def refusal_of(self, output: Completed) -> Refused:
        """See `slurm_words.REFUSALS`."""
        return refusal(self.name, "sbatch", output, words.REFUSALS)

    def status_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """See https://slurm.schedmd.com/squeue.html (Slurm 25.05)."""
        return [*_squeue(settings), f"--jobs={','.join(_jobs(ids))}"]

    def states_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """States of all elements of the jobs that were asked for."""
        if output.exit_code and _NO_JOB not in output.stderr:
            return None
        found = (_status(*row) for row in _rows(output.stdout, 6))
        return {native: status for native, status in found if status is not None}

    def ended_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """See https://slurm.schedmd.com/sacct.html (Slurm 25.05)."""
        return ["sh", "-c", _ENDS, "sh", " ".join(_clusters(settings)), *ids]

    def ends_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """Final states; the accounting goes before the controller."""
        found: dict[NativeId, BlockStatus] = {}
        for native, state, code, reason in [*_controller_rows(output.stdout), *_rows(output.stdout, 4)]:
            if state.split()[0] in _ENDED:
                found[NativeId(native)] = _end(state, code, reason)
            else:
                found.setdefault(NativeId(native), BlockStatus(BlockState.UNKNOWN, state))
        return found

    def find_command(self, settings: BatchSettings) -> list[str]:
        """All jobs of the user, with their names."""
        return [*_squeue(settings, "PENDING,RUNNING,CONFIGURING,SUSPENDED,STOPPED,REQUEUED"), "--me"]

    def found_in(self, output: Completed) -> Mapping[NativeId, str] | None:
        """Names by id."""
        if output.exit_code:
            return None
        return {NativeId(row[0]): row[5] for row in _rows(output.stdout, 6)}

    def cancel_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """See https://slurm.schedmd.com/scancel.html (Slurm 25.05); it takes ids that are gone."""
        return ["scancel", *_clusters(settings), *ids]

    def not_cancelled(self, output: Completed, ids: Sequence[NativeId]) -> Mapping[NativeId, str]:
        """Those that another user owns, or all where the controller did not answer."""
        said = output.stderr.strip()
        if not output.exit_code or _NO_JOB in said:
            return {}
        named = [each for each in ids if re.search(rf"\b{re.escape(each)}\b", said)]
        return dict.fromkeys(named or ids, f"scancel: {said}")

    def expected_start_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """None: `states_of` has the times already."""
        del settings, ids
        return None

    def expected_starts_of(self, output: Completed) -> Mapping[NativeId, str]:
        """None."""
        del output
        return {}


def _quoted(path: str) -> str:
    """*path* in a line of a script, with its blanks; a percent sign would begin a pattern, as ``%a`` does."""
    path = path.replace("%", "%%")
    return path if re.fullmatch(r"[\w@%+=:,./-]*", path) else '"' + re.sub(r'(["\\])', r"\\\1", path) + '"'


def _own(settings: BatchSettings) -> SlurmProvider:
    return cast("SlurmProvider", settings)


def _clusters(settings: BatchSettings) -> list[str]:
    clusters = _own(settings).clusters
    return [f"--clusters={clusters}"] if clusters else []


def _squeue(settings: BatchSettings, states: str = "all") -> list[str]:
    """Options of ``squeue`` for a line per element: id, state, reason, start, nodes, name."""
    line = "%i|%T|%r|%S|%N|%j"
    return ["squeue", *_clusters(settings), "--noheader", "--array", f"--states={states}", f"--format={line}"]


def _jobs(ids: Sequence[NativeId]) -> list[str]:
    """Numbers of the jobs and arrays of *ids*."""
    return list(dict.fromkeys(native.partition("_")[0] for native in ids))


def _notice(settings: BatchSettings, request: JobRequest) -> str | None:
    """Return the option for a signal before the job's end or preemption, at which its manager accepts no more tasks.

    Slurm may send it a minute early. To a step it would go to all processes, and so to those of the tasks.
    """
    is_short = request.walltime is not None and request.walltime < _SHORTEST_WITH_NOTICE * settings.notice
    if not settings.notice or is_short or request.nodes > 1:
        return None
    return f"B:USR1@{settings.notice:.0f}"


def _minutes(walltime: float) -> str:
    """Return a limit that Slurm, which counts minutes, does not shorten."""
    minutes = max(1, -(-int(walltime) // 60))
    return f"{minutes // 60:02}:{minutes % 60:02}:00"


def _rows(text: str, size: int) -> Iterator[list[str]]:
    """Fields of the lines that have *size* of them; with ``--clusters`` Slurm prints a line before."""
    rows = (line.split("|", size - 1) for line in text.splitlines())
    return (row for row in rows if len(row) == size and row[0][:1].isdigit())


def _controller_rows(text: str) -> Iterator[list[str]]:
    """The same fields as those of the accounting, from lines of ``scontrol``."""
    for line in text.splitlines():
        if not line.startswith("JobId="):
            continue
        fields = dict(_FIELD.findall(line))
        native = fields["JobId"]
        if "ArrayTaskId" in fields:
            native = f"{fields['ArrayJobId']}_{fields['ArrayTaskId']}"
        yield [native, fields.get("JobState", "UNKNOWN"), fields.get("ExitCode", ""), fields.get("Reason", "")]


def _status(
    native: str, state: str, reason: str, start: str, hosts: str, name: str
) -> tuple[NativeId, BlockStatus | None]:
    del name
    if state in _ENDED:
        return NativeId(native), _end(state, "", reason)
    living = _LIVING.get(state)
    if living is None:
        return NativeId(native), BlockStatus(BlockState.UNKNOWN, f"Slurm: {state}")
    if living is not BlockState.PENDING:
        return NativeId(native), BlockStatus(living, hosts=expand(hosts))
    if advice := words.NEVER_STARTS.get(reason):
        message = f"Slurm will not start it: {reason}. {advice}"
        return NativeId(native), BlockStatus(BlockState.FAILED, message, EndCause.OTHER)
    is_known = _TIME.fullmatch(start) is not None
    # The site's clock is taken for that of this machine: squeue prints its local time without a zone.
    starts_at = datetime.fromisoformat(start).timestamp() if is_known else None
    return NativeId(native), BlockStatus(living, words.waiting(reason, start if is_known else ""), starts_at=starts_at)


def _end(state: str, code: str, reason: str) -> BlockStatus:
    """Return the status of a job that ended.

    Args:
        state: in capital letters, perhaps with more words: ``CANCELLED by 1000``.
        code: ``EXIT_CODE:SIGNAL``; empty if it is not known.
        reason: ``None`` where there is none.
    """
    first, _, more = state.partition(" ")
    exit_code, _, signal = code.partition(":")
    number = None
    if exit_code.isdigit():
        number = 128 + int(signal) if signal.isdigit() and int(signal) else int(exit_code)
    detail = f", {reason}" if reason not in {"", "None", "NonZeroExitCode"} else ""
    whom = f" {more.replace('by', 'by user')}" if more else ""
    cause = _ENDED[first]
    if first == "FAILED" and not number:
        cause = EndCause.OTHER
    return end_status(f"Slurm: {first}{whom}{detail}", cause=cause, exit_code=number)


SLURM = SlurmDialect()

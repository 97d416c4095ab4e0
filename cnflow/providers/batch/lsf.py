"""The dialect of IBM Spectrum LSF, from 10.1; pure.

::

    bsub < SCRIPT         "Job <123> is submitted to queue <normal>."    elements are 123[1], 123[2], ...
    bjobs -o "..." 123    "123^0^RUN^-^n1^-^-^-"                         ended jobs stay for CLEAN_PERIOD, 1 h
    bhist -l 123          "Job <123>, ... Exited with exit code 3."      after that
    bkill 123             "Job <123> is being terminated"

Before its limit a job gets SIGUSR2 (``-wt``, ``-wa``), and at the limit once more, in all of its processes. So the
job's shell lets what it starts ignore SIGUSR2, and passes SIGUSR1 to the manager, which then accepts no more tasks, and
SIGTERM the second time.

Manual: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-command
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from cnflow.errors import ConfigurationError
from cnflow.ids import NativeId
from cnflow.model.block import BlockState, BlockStatus, EndCause, Refusal
from cnflow.providers.batch.ends import end_status
from cnflow.providers.batch.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.config.lsf import LSFProvider
    from cnflow.interfaces.channel import Completed
    from cnflow.model.block import Refused
    from cnflow.providers.batch.dialect import JobRequest

# States: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=bjobs-description
_LIVING: Mapping[str, BlockState] = {
    "PEND": BlockState.PENDING,
    "PROV": BlockState.PENDING,
    "PSUSP": BlockState.PENDING,
    "WAIT": BlockState.PENDING,
    "RUN": BlockState.RUNNING,
    "USUSP": BlockState.RUNNING,
    "SSUSP": BlockState.RUNNING,
}

# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=bacct-termination-reasons
_CAUSES: Mapping[str, EndCause] = {
    "TERM_RUNLIMIT": EndCause.WALLTIME,
    "TERM_DEADLINE": EndCause.WALLTIME,
    "TERM_WINDOW": EndCause.WALLTIME,
    "TERM_CPULIMIT": EndCause.WALLTIME,
    "TERM_PREEMPT": EndCause.PREEMPTED,
    "TERM_RC_RECLAIM": EndCause.PREEMPTED,
    "TERM_LOAD": EndCause.PREEMPTED,
    "TERM_REQUEUE_ADMIN": EndCause.PREEMPTED,
    "TERM_MEMLIMIT": EndCause.OOM,
    "TERM_SWAP": EndCause.OOM,
    "TERM_OWNER": EndCause.USER,
    "TERM_FORCE_OWNER": EndCause.USER,
    "TERM_REQUEUE_OWNER": EndCause.USER,
    "TERM_ADMIN": EndCause.USER,
    "TERM_FORCE_ADMIN": EndCause.USER,
    "TERM_BUCKET_KILL": EndCause.USER,
    "TERM_ZOMBIE": EndCause.NODE,
}

_MARK = "^"  # not in the reasons, which have commas, semicolons and bars
_FIELDS = ("stat", "exit_code", "exec_host", "estimated_start_time", "exit_reason", "pend_reason")
_UNKNOWN = "is not found"
_ID = r"\d+(?:\[\d+\])?"
_OPTIONS = "Correct the options of LSFProvider: 'cnflow config show --requests' prints the script."

# Words of bsub 10.1: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-bsub, and what the user can do.
_REFUSALS: tuple[tuple[str, Refusal, str], ...] = (
    (
        r"LSF is down|failed in an LSF library call|batch daemon not responding|cannot connect|please wait",
        Refusal.FAILED,
        "LSF does not answer; it is asked again later.",
    ),
    (
        r"pending job threshold|MAX_PEND|too many jobs|job limit|resource temporarily unavailable",
        Refusal.BUSY,
        "It is asked again later; set a lower max_blocks of the provider if the limit is one of the site.",
    ),
    (
        r"no such queue|queue has been closed|not accept jobs|cannot use the (specified )?queue|queue name",
        Refusal.FOR_GOOD,
        "Correct LSFProvider(queue=...): 'bqueues -u $USER' lists the queues that take your jobs.",
    ),
    (r"project", Refusal.FOR_GOOD, "Correct LSFProvider(project=...)."),
    (
        r"user group|no such user/user group",
        Refusal.FOR_GOOD,
        "Correct LSFProvider(user_group=...): 'bugroup' lists them.",
    ),
    (r"application", Refusal.FOR_GOOD, "Correct LSFProvider(application=...): 'bapp' lists the profiles."),
    (
        r"runlimit|run limit|hard limit",
        Refusal.FOR_GOOD,
        "Set a shorter walltime of the provider: 'bqueues -l QUEUE' shows the queue's RUNLIMIT.",
    ),
    (
        r"too many processors|processor|nnodes|slots|nodes",
        Refusal.FOR_GOOD,
        "Correct nodes_per_block, cores_per_node or request_by_nodes of LSFProvider: 'bhosts' shows what there is.",
    ),
    (r"resource requirement|bad resource", Refusal.FOR_GOOD, _OPTIONS),
    (
        r"esub|aborted|not submitted",
        Refusal.FOR_GOOD,
        "A rule of the site refused the job: follow the message, by options of the provider or scheduler_options.",
    ),
)

_SHORTEST_WITH_NOTICE = 10
"""Notices that a job lasts at least: a shorter one would accept no task for most of its time."""

# LSF's own signal at the limit is SIGUSR2, too, and is followed by SIGKILL after JOB_TERMINATE_INTERVAL:
# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=lsbqueues-runlimit
# A notice may come while the one before is passed on, and its trap then runs within the other's: each takes its number
# before it sends anything, in the same expansion, which no trap can divide.
# The last wait: a signal may end the one before in the moment in which the body ends. 127: that one had its exit code.
_SUPERVISED = """\
(
trap '' USR2
{body}
) &
cnflow_body=$!
cnflow_notices={notices}
cnflow_on_notice() {{
case $((cnflow_notices += 1)) in
1) kill -USR1 $cnflow_body 2>/dev/null ;;
*) kill -TERM $cnflow_body 2>/dev/null ;;
esac
}}
trap cnflow_on_notice USR2
trap : INT TERM
wait $cnflow_body; cnflow_code=$?
while kill -0 $cnflow_body 2>/dev/null; do wait $cnflow_body; cnflow_code=$?; done
wait $cnflow_body 2>/dev/null; cnflow_last=$?
[ $cnflow_last = 127 ] || cnflow_code=$cnflow_last
exit $cnflow_code
"""


class _LSF:
    """See `cnflow.providers.batch.dialect.Dialect`."""

    name = "LSF"
    programs: Sequence[str] = ("bsub", "bjobs", "bkill", "bhist")
    has_arrays = True
    index_variable = "LSB_JOBINDEX"
    first_index = 1

    def refuse(self, settings: BatchSettings) -> None:
        """Refuse cores that nobody counts."""
        own = _own(settings)
        if not own.request_by_nodes and own.cores_per_node is None:
            raise ConfigurationError(
                "LSFProvider(request_by_nodes=False) asks LSF for cores, and cores_per_node is missing. Set "
                "cores_per_node, or leave out request_by_nodes."
            )

    def submit_script(self, settings: BatchSettings, request: JobRequest) -> str:
        """Script for ``bsub``, which reads it from its standard input."""
        lines = [f"#BSUB {line}" for line in _options(_own(settings), request)]
        raw = [settings.scheduler_options.strip("\n")] if settings.scheduler_options.strip() else []
        notices = 0 if _gives_notice(settings, request) else 1  # so many are taken as come: the limit's own is TERM
        body = _SUPERVISED.format(body=request.body.rstrip(), notices=notices)
        return "\n".join(["#!/bin/sh", *lines, *raw, body])

    def submit_command(self, settings: BatchSettings, path: str) -> list[str]:  # noqa: ARG002 - part of the seam
        """``bsub < SCRIPT``: given as an argument, bsub would not read its ``#BSUB`` lines."""
        return ["sh", "-c", 'exec bsub <"$1"', "sh", path]

    def job_ids_of(self, output: Completed, size: int) -> list[NativeId]:
        """Ids such as ``123``, or ``123[1]`` in an array."""
        found = re.search(r"Job <(\d+)> is submitted", output.stdout)
        if found is None:
            raise ValueError(f"bsub printed {output.stdout.strip()!r} and no number of a job")
        return [NativeId(found[1])] if size == 1 else [NativeId(f"{found[1]}[{each + 1}]") for each in range(size)]

    def element_of(self, native: NativeId) -> int:
        """Number in brackets, which LSF counts from 1."""
        return int(native.partition("[")[2].rstrip("]") or 1) - 1

    def refusal_of(self, output: Completed) -> Refused:
        """By bsub's words."""
        return refusal(self.name, "bsub", output, _REFUSALS)

    def status_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:  # noqa: ARG002
        """``bjobs`` for the ids, a line for each."""
        return _bjobs(_FIELDS, *ids)

    def states_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """States; ids that LSF does not know any more are named on stderr alone."""
        if not _has_answered(output):
            return None
        return {native: _status(*row) for native, row in _rows(output.stdout, len(_FIELDS))}

    def ended_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:  # noqa: ARG002
        """``bhist``, in the ten newest of LSF's event logs."""
        return ["bhist", "-n", "10", "-l", *ids]

    def ends_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """Ends by the events of each job's history."""
        if output.exit_code != 0 and "No matching job found" not in output.stderr + output.stdout:
            return None
        return dict(_histories(output.stdout))

    def find_command(self, settings: BatchSettings) -> list[str]:  # noqa: ARG002 - part of the seam
        """Jobs of this user that have not ended: what ``bjobs`` lists by default."""
        return _bjobs(("job_name",))

    def found_in(self, output: Completed) -> Mapping[NativeId, str] | None:
        """Names without the elements of the array."""
        if not _has_answered(output):
            return None
        return {native: row[0].partition("[")[0] for native, row in _rows(output.stdout, 1)}

    def cancel_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:  # noqa: ARG002
        """``bkill``; the job gets SIGINT, SIGTERM and SIGKILL, 10 s apart."""
        return ["bkill", *ids]

    def not_cancelled(self, output: Completed, ids: Sequence[NativeId]) -> Mapping[NativeId, str]:
        """All but those that bkill is terminating, or that ended before."""
        words = f"{output.stdout}\n{output.stderr}"
        gone = r"is being terminated|: Job has already finished|: No matching job found|: Job has been terminated"
        confirmed = set(re.findall(rf"Job <({_ID})>\s*(?:{gone})", words))
        reason = output.stderr.strip() or f"bkill exited with code {output.exit_code}"
        return {native: f"bkill: {reason}" for native in ids if native not in confirmed}

    def expected_start_command(
        self,
        settings: BatchSettings,  # noqa: ARG002 - part of the seam
        ids: Sequence[NativeId],  # noqa: ARG002
    ) -> list[str] | None:
        """None: `states_of` has the times already."""
        return None

    def expected_starts_of(self, output: Completed) -> Mapping[NativeId, str]:  # noqa: ARG002 - part of the seam
        """None."""
        return {}


DIALECT = _LSF()


def _own(settings: BatchSettings) -> LSFProvider:
    return cast("LSFProvider", settings)


def _options(settings: LSFProvider, request: JobRequest) -> Iterator[str]:
    """Options of bsub, one a line."""
    yield f'-J "{request.name}{f"[1-{request.size}]" if request.size > 1 else ""}"'
    yield f'-o "{request.output}{".%I" if request.size > 1 else ""}"'  # and stderr, where there is no -e
    yield "-rn"  # not run again by LSF: the driver asks for another block
    if settings.request_by_nodes:
        yield f"-nnodes {request.nodes}"
    else:
        cores = settings.cores_per_node or 1
        yield f"-n {request.nodes * cores}"
        yield f'-R "span[ptile={cores}]"'
    if settings.gpus_per_node is not None:
        yield f'-gpu "num={settings.gpus_per_node}"'
    if request.walltime is not None:
        yield f"-W {_minutes(request.walltime)}"
        if _gives_notice(settings, request):
            yield f"-wt {_minutes(settings.notice)}"
            yield "-wa USR2"
    for option, value in (
        ("-q", settings.queue),
        ("-P", settings.project),
        ("-G", settings.user_group),
        ("-app", settings.application),
    ):
        if value is not None:
            yield f"{option} {value}"


def _gives_notice(settings: BatchSettings, request: JobRequest) -> bool:
    """True if the manager is told some time before the job's end, to accept no more tasks then.

    It is the job's only process that can be told: a launcher for several nodes would be ended by SIGUSR1.
    """
    if not settings.notice or request.walltime is None or request.nodes > 1:
        return False
    return request.walltime >= _SHORTEST_WITH_NOTICE * max(60.0, settings.notice)


def _minutes(seconds: float) -> int:
    """Return LSF's minutes, which do not shorten *seconds*."""
    return max(1, -(-int(seconds) // 60))


def _bjobs(fields: Sequence[str], *ids: str) -> list[str]:
    """Command for a line per job: id, index, then *fields*."""
    columns = " ".join(["jobid", "jobindex", *fields])
    return ["bjobs", "-noheader", "-o", f"{columns} delimiter='{_MARK}'", *ids]


def _has_answered(output: Completed) -> bool:
    """Return whether bjobs could ask LSF: its exit code is not 0 where a job is not found, too."""
    words = output.stderr.strip()
    return output.exit_code == 0 or not words or _UNKNOWN in words or "No unfinished job found" in words


def _rows(text: str, size: int) -> Iterator[tuple[NativeId, list[str]]]:
    """Ids and their *size* fields; a field without a value is empty, and the last one may have the mark in it."""
    for line in text.splitlines():
        number, *values = (value.strip() for value in line.split(_MARK, size + 1))
        if number.isdigit() and len(values) == size + 1:
            index, *fields = ("" if value == "-" else value for value in values)
            yield NativeId(f"{number}[{index}]" if index not in {"", "0"} else number), fields


def _status(state: str, code: str, hosts: str, start: str, exit_reason: str, pend_reason: str) -> BlockStatus:
    if state in {"DONE", "EXIT", "ZOMBI"}:
        return _end(state, code, exit_reason)
    living = _LIVING.get(state)
    if living is None:
        return BlockStatus(BlockState.UNKNOWN, f"LSF: {state}")
    if living is BlockState.RUNNING:
        names = (each.rpartition("*")[2] for each in hosts.split(":") if each)  # "4*node1:4*node2"
        return BlockStatus(living, hosts=tuple(dict.fromkeys(names)))
    held = "it is held; 'bresume' lets it go" if state == "PSUSP" else ""
    reason = "; ".join(filter(None, [held, pend_reason.rstrip(" ;")])) or "LSF gives no reason"
    expected = f"; expected to start at {start.rstrip(' LE')}" if start else ""
    return BlockStatus(living, f"waits in LSF's queue: {reason}{expected}")


def _end(state: str, code: str, reason: str) -> BlockStatus:
    """Return the status of a job that ended; *reason* begins with a word of `_CAUSES`."""
    number = int(code) if code.isdigit() else (0 if state == "DONE" else None)
    cause = EndCause.NODE if state == "ZOMBI" else _CAUSES.get(reason.partition(":")[0].strip())
    if state == "EXIT" and not number and cause is None:
        cause = EndCause.OTHER
    return end_status(f"LSF: {state}{f', {reason}' if reason else ''}", cause=cause, exit_code=number)


def _histories(text: str) -> Iterator[tuple[NativeId, BlockStatus]]:
    """Ends in the output of ``bhist -l``: a paragraph per job, whose long lines go on after a margin."""
    joined = re.sub(r"\n {21}", "", text)
    for part in re.split(r"^(?=Job <)", joined, flags=re.MULTILINE):
        job = re.match(rf"Job <({_ID})>", part)
        if job is None:
            continue
        reason = re.search(r"(TERM_\w+: [^\n.;]*)", part)
        code = re.search(r"Exited with exit code (\d+)", part) or re.search(r"Exited by signal (\d+)", part)
        if re.search(r": Done successfully", part):
            yield NativeId(job[1]), _end("DONE", "0", "")
        elif code or reason or re.search(r": (Exited|Completed <exit>)", part):
            by_signal = code is not None and "by signal" in code[0]
            number = str(128 + int(code[1])) if code and by_signal else code[1] if code else ""
            yield NativeId(job[1]), _end("EXIT", number, reason[1].strip() if reason else "")

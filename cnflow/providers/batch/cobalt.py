"""The dialect of Cobalt 1.0; pure.

::

    qsub SCRIPT                    "12345", and words on stderr
    qstat --header JobID:... 12345 a table; nothing, and the exit code 1, where there is no such job
    cat .../12345.cobaltlog        "Info: task completed normally with an exit code of 0; ..."
    qdel 12345                     "      Deleted Jobs" and a table

Cobalt keeps no accounts that a user can read. Each job has a log, beside its output, whose last lines tell its end; it
records its exit code itself, too, in case that the site writes no such logs.

Source: https://github.com/ido/cobalt (man/POSIX, src/clients/POSIX, src/lib/Components/cqm.py).
"""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from cnflow.errors import ConfigurationError
from cnflow.ids import NativeId
from cnflow.model.block import BlockState, BlockStatus, EndCause, Refusal
from cnflow.providers.batch.ends import end_status
from cnflow.providers.batch.files import CODE
from cnflow.providers.batch.refusals import refusal
from cnflow.providers.batch.supervised import supervised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.config.cobalt import CobaltProvider
    from cnflow.interfaces.channel import Completed
    from cnflow.model.block import Refused
    from cnflow.providers.batch.dialect import JobRequest

# States: `__states` in src/lib/Components/cqm.py.
_LIVING: Mapping[str, BlockState] = {
    "queued": BlockState.PENDING,
    "starting": BlockState.PENDING,
    "hold": BlockState.PENDING,
    "user_hold": BlockState.PENDING,
    "admin_hold": BlockState.PENDING,
    "maxrun_hold": BlockState.PENDING,
    "dep_hold": BlockState.PENDING,
    "preempted": BlockState.PENDING,
    "running": BlockState.RUNNING,
    "preempting": BlockState.RUNNING,
    "killing": BlockState.RUNNING,
    "exiting": BlockState.RUNNING,
}
_WAITING: Mapping[str, str] = {
    "queued": "nodes are not free yet, or other jobs come first",
    "starting": "its nodes are being prepared",
    "hold": "it is held",
    "user_hold": "it is held; 'qrls' lets it go",
    "admin_hold": "the site holds it",
    "maxrun_hold": "as many jobs of yours run as the queue allows",
    "dep_hold": "another job must end first",
}
_HEADER = ("JobID", "State", "Location", "JobName")
_ENDS: Sequence[tuple[str, EndCause]] = (
    (r"maximum execution time exceeded", EndCause.WALLTIME),
    (r"user delete", EndCause.USER),
    (r"preempt", EndCause.PREEMPTED),
    (r"process group creation failed|failed to execute the task", EndCause.NODE),
)
_CODE = re.compile(r"exit code of (-?\d+)")

# Words of Cobalt's qsub and of its filters, and what the user can do.
_REFUSALS: tuple[tuple[str, Refusal, str], ...] = (
    (
        r"failed to connect|unable to contact|ComponentLookupError|connection refused",
        Refusal.FAILED,
        "Cobalt does not answer; it is asked again later.",
    ),
    (
        r"limit of (queued|running)|max(imum)? (queued|number of) jobs|limit of .* jobs per user",
        Refusal.BUSY,
        "It is asked again later; set a lower max_blocks of the provider if the limit is one of the site.",
    ),
    (r"queue", Refusal.FOR_GOOD, "Correct CobaltProvider(queue=...): 'qstat -Q' lists the queues and their limits."),
    (r"project|allocation|account", Refusal.FOR_GOOD, "Correct CobaltProvider(account=...)."),
    (
        r"walltime|time",
        Refusal.FOR_GOOD,
        "Correct the walltime of the provider: 'qstat -Q' shows MinTime and MaxTime of each queue.",
    ),
    (r"node count|nodecount|nodes", Refusal.FOR_GOOD, "Correct nodes_per_block of the provider."),
    (
        r"filter|attrs|option",
        Refusal.FOR_GOOD,
        "A rule of the site refused the job: follow the message, by options of the provider or scheduler_options.",
    ),
)

# $0 is the folder of the site, the rest are ids.
_LOGS = """\
for id; do for log in "$0"/runs/*/*/"$id".cobaltlog; do
  [ -r "$log" ] && { echo "== $id"; tail -n 20 "$log"; }
done; done; exit 0"""


class _Cobalt:
    """See `cnflow.providers.batch.dialect.Dialect`."""

    name = "Cobalt"
    programs: Sequence[str] = ("qsub", "qstat", "qdel")
    has_arrays = False
    index_variable = ""
    first_index = 0

    def refuse(self, settings: BatchSettings) -> None:
        """Refuse a job without an end."""
        if settings.walltime is None:
            raise ConfigurationError("CobaltProvider(walltime=None): Cobalt takes no job without one. Set walltime.")

    def submit_script(self, settings: BatchSettings, request: JobRequest) -> str:
        """Script for ``qsub``, with options in lines of ``#COBALT``."""
        lines = [f"#COBALT {line}" for line in _options(_own(settings), request)]
        raw = [settings.scheduler_options.strip("\n")] if settings.scheduler_options.strip() else []
        body = supervised(request.body, record=f"{shlex.quote(request.output)}{CODE}")
        return "\n".join(["#!/bin/sh", *lines, *raw, body])

    def submit_command(self, settings: BatchSettings, path: str) -> list[str]:  # noqa: ARG002 - part of the seam
        """Cobalt takes scripts that can be executed only."""
        return ["sh", "-c", 'chmod u+x "$1" && exec qsub "$1"', "sh", path]

    def job_ids_of(self, output: Completed, size: int) -> list[NativeId]:  # noqa: ARG002 - part of the seam
        """The number, which is all that qsub prints to its standard output."""
        found = re.search(r"^(\d+)\s*$", output.stdout, re.MULTILINE | re.ASCII)
        if found is None:
            raise ValueError(f"qsub printed {output.stdout.strip()!r} and no number of a job")
        return [NativeId(found[1])]

    def element_of(self, native: NativeId) -> int:  # noqa: ARG002 - part of the seam
        """0: Cobalt has no arrays."""
        return 0

    def refusal_of(self, output: Completed) -> Refused:
        """By qsub's words."""
        return refusal(self.name, "qsub", output, _REFUSALS)

    def status_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:  # noqa: ARG002
        """``qstat`` for the ids."""
        return ["qstat", "--header", ":".join(_HEADER), *ids]

    def states_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """States; without any job qstat prints nothing and exits with 1."""
        if not _has_answered(output):
            return None
        return {native: _status(row) for native, row in _rows(output.stdout)}

    def ended_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """The ends of the jobs' logs."""
        folder = settings.site_dir.replace('"', '\\"').replace("`", "\\`")
        if folder.startswith("~/") or folder == "~":
            folder = f"$HOME{folder[1:]}"
        return ["sh", "-c", f'exec sh -c {shlex.quote(_LOGS)} "{folder}" "$@"', "sh", *ids]

    def ends_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """Ends by the words of the logs; of one that has none yet the end is not known."""
        if output.exit_code != 0:
            return None
        found: dict[NativeId, BlockStatus] = {}
        for part in re.split(r"^== ", output.stdout, flags=re.MULTILINE)[1:]:
            native, _, log = part.partition("\n")
            end = _end_of(log)
            if end is not None:
                found[NativeId(native.strip())] = end
        return found

    def find_command(self, settings: BatchSettings) -> list[str]:  # noqa: ARG002 - part of the seam
        """Jobs of this user."""
        return ["sh", "-c", f'exec qstat --header {":".join(_HEADER)} -u "$(id -un)"']

    def found_in(self, output: Completed) -> Mapping[NativeId, str] | None:
        """Names by id."""
        if not _has_answered(output):
            return None
        return {native: row["JobName"] for native, row in _rows(output.stdout)}

    def cancel_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:  # noqa: ARG002
        """``qdel``; the job gets SIGTERM first."""
        return ["qdel", *ids]

    def not_cancelled(self, output: Completed, ids: Sequence[NativeId]) -> Mapping[NativeId, str]:
        """Those that qdel neither deleted nor missed."""
        words = f"{output.stdout}\n{output.stderr}"
        if output.exit_code == 0 or "not found" in words:
            return {}
        reason = words.strip() or f"exit code {output.exit_code}"
        return dict.fromkeys(ids, f"qdel: {reason}")

    def expected_start_command(
        self,
        settings: BatchSettings,  # noqa: ARG002 - part of the seam
        ids: Sequence[NativeId],  # noqa: ARG002
    ) -> list[str] | None:
        """None: Cobalt tells no time."""
        return None

    def expected_starts_of(self, output: Completed) -> Mapping[NativeId, str]:  # noqa: ARG002 - part of the seam
        """None are told."""
        return {}


DIALECT = _Cobalt()


def _own(settings: BatchSettings) -> CobaltProvider:
    return cast("CobaltProvider", settings)


def _options(settings: CobaltProvider, request: JobRequest) -> Iterator[str]:
    """Options of qsub, one a line."""
    yield f"-n {request.nodes}"
    yield f"-t {max(1, -(-int(request.walltime or 0) // 60))}"  # minutes, which do not shorten it
    yield f"--jobname {request.name}"
    yield f"-o {request.output}"
    yield f"-e {request.output}"
    yield f"--debuglog {PurePosixPath(request.output).parent}/$jobid.cobaltlog"
    for option, value in (("-q", settings.queue), ("-A", settings.account), ("--attrs", settings.attributes)):
        if value is not None:
            yield f"{option} {value}"


def _has_answered(output: Completed) -> bool:
    """Return whether qstat could ask Cobalt: its exit code is 1 where there are no jobs, too, without a word."""
    return output.exit_code == 0 or not output.stderr.strip()


def _rows(text: str) -> Iterator[tuple[NativeId, dict[str, str]]]:
    """Rows of a table of qstat, whose columns are as wide as their longest value, two spaces apart."""
    for line in text.splitlines():
        values = line.split()
        if len(values) == len(_HEADER) and values[0].isdigit():
            yield NativeId(values[0]), dict(zip(_HEADER, values, strict=True))


def _status(row: Mapping[str, str]) -> BlockStatus:
    state = row["State"].lower()
    living = _LIVING.get(state)
    if state == "dep_fail":
        return BlockStatus(
            BlockState.FAILED, "Cobalt will not start it: a job that it waits for failed", EndCause.OTHER
        )
    if state == "preempted":
        return end_status("Cobalt: preempted", cause=EndCause.PREEMPTED)
    if living is None:
        return BlockStatus(BlockState.UNKNOWN, f"Cobalt: {state}")
    if living is BlockState.PENDING:
        return BlockStatus(living, f"waits in Cobalt's queue: {state} ({_WAITING.get(state, 'it waits')})")
    return BlockStatus(living, hosts=() if row["Location"] in {"None", "-"} else (row["Location"],))


def _end_of(log: str) -> BlockStatus | None:
    """End of a job by its log; None if it has no word of an end."""
    code = _CODE.search(log)
    number = int(code[1]) if code else None
    for pattern, cause in _ENDS:
        line = next((line for line in log.splitlines() if re.search(pattern, line)), None)
        if line is not None:
            words = line.partition("Info:")[2].partition(";")[0].strip() or line.strip()
            return end_status(f"Cobalt: {words}", cause=cause, exit_code=number)
    if number is None:
        return None
    return end_status(f"Cobalt: exit code {number}" if number else "", exit_code=number)

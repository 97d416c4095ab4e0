"""The dialect of Grid Engine, from Sun's 6.2 to Altair's 8.7.

::

    qsub -terse SCRIPT             "12", or "12.1-3:1" for an array
    qstat -xml -g d, qstat -j 12   XML with a job_list for each element; text with "scheduling info:"
    qacct -j 12                    records of "name  value", a line of "=" before each; seconds after the end

Facts: qsub(1), qstat(1), qacct(1) and sge_status(5), https://gridscheduler.sourceforge.net/htmlman/manuals.html, and a
Son of Grid Engine 8.1.9, which printed the texts of the tests.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, cast
from xml.etree import ElementTree as ET

from cnflow.errors import ConfigurationError
from cnflow.ids import NativeId
from cnflow.model.block import BlockState, BlockStatus, EndCause, Refusal
from cnflow.providers.batch.ends import end_status
from cnflow.providers.batch.refusals import Words, refusal
from cnflow.providers.batch.supervised import supervised

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.config.gridengine import GridEngineProvider
    from cnflow.interfaces.channel import Completed
    from cnflow.model.block import Refused
    from cnflow.providers.batch.dialect import JobRequest

_SUBMITTED = re.compile(r"^(\d+)(?:\.\d+-\d+:\d+)?$", re.MULTILINE)
_REASONS = "<!-- cnflow: reasons -->"

_LIST = 'qstat -xml -g d -u "$(id -un)"'

# `qstat -j` fails if one of the jobs has ended, and still prints the others.
_STATUS = f"""\
{_LIST} || exit
echo '{_REASONS}'
qstat -j "$1" 2>&1
exit 0
"""

# qacct takes one job. Its record comes up to 15 s (accounting_flush_time) after the end; until then, and for a while
# longer, qmaster lists the job as finished (finished_jobs in sge_conf(5)).
_ENDS = """\
for id; do echo "asked $id"; done
qstat -s prsz -u "$(id -un)" 2>/dev/null | awk '$1 ~ /^[0-9]+$/ {print "listed " $1}'
for id; do echo "${id%%.*}"; done | sort -u | while read -r job; do
  qstat -j "$job" 2>/dev/null | sed -n "s/^error reason[^:]*: */reason $job /p"
  qacct -j "$job" 2>/dev/null
done
exit 0
"""
_ASKED = re.compile(r"^asked (\S+)$", re.MULTILINE)
_LISTED = re.compile(r"^listed (\d+)$", re.MULTILINE)
_REASON = re.compile(r"^reason (\d+) (?:[\d/]+ [\d:]+ )?(?:\[[\d:]+\]: )?(.*)$", re.MULTILINE)

# Codes of "failed": sge_status(5), "Job accounting".
_ENFORCED = {37, 43, 44}
"""A limit of time or memory."""

_RESCHEDULED = {24, 25}

_STARTED = 29
"""Codes below it are failures before the job's first command."""

_SILENT = re.compile(r"commlib error|unable to (send|contact)|can't get answer|cannot connect", re.IGNORECASE)

_REFUSALS: Words = (
    (r"only \d+ jobs are allowed|job rejected due to|exceeds? .*limit.*jobs", Refusal.BUSY, ""),
    (_SILENT.pattern, Refusal.FAILED, "Grid Engine's qmaster does not answer; another attempt follows."),
    (r"SGE_ROOT", Refusal.FOR_GOOD, "Load the site's settings first: . $SGE_ROOT/default/common/settings.sh"),
    (r"unknown queue", Refusal.FOR_GOOD, "Set queue to one that `qconf -sql` lists."),
    (r"project .* does not exist", Refusal.FOR_GOOD, "Set project to one that `qconf -sprjl` lists."),
    (r"parallel environment", Refusal.FOR_GOOD, "Set parallel_environment to one that `qconf -spl` lists."),
    (
        r"no suitable queues",
        Refusal.FOR_GOOD,
        "No queue can ever run it: compare queue, walltime, resources and slots with `qconf -sq QUEUE`.",
    ),
    (r"unknown resource", Refusal.FOR_GOOD, "Correct resources or scheduler_options; `qconf -sc` lists the names."),
    (r"rejected|denied|unknown option|not allowed", Refusal.FOR_GOOD, "Correct the provider's settings."),
)


class GridEngineDialect:
    """See `cnflow.providers.batch.dialect.Dialect`."""

    name = "Grid Engine"
    programs = ("qsub", "qstat", "qdel", "qacct")
    has_arrays = True
    index_variable = "SGE_TASK_ID"
    first_index = 1

    def refuse(self, settings: BatchSettings) -> None:
        """Refuse several slots without the parallel environment that gives them."""
        own = _own(settings)
        slots = own.nodes_per_block * own.slots_per_node
        if slots > 1 and own.parallel_environment is None and not re.search(r"\s-pe\s", own.scheduler_options):
            raise ConfigurationError(
                f"Grid Engine gives {slots} slots through a parallel environment alone. Set "
                "GridEngineProvider(parallel_environment=...) to one that `qconf -spl` lists."
            )

    def submit_script(self, settings: BatchSettings, request: JobRequest) -> str:
        """Script for ``qsub``; the first characters of its lines for Grid Engine are ``#$``."""
        own = _own(settings)
        slots = request.nodes * own.slots_per_node
        is_array = request.size > 1
        resources = {} if request.walltime is None else {"h_rt": f"{request.walltime:.0f}"}
        resources |= {name: str(value) for name, value in own.resources.items()}
        options = [
            ("-S", "/bin/sh"),
            ("-N", request.name),
            ("-j", "y"),
            ("-o", _quoted(f"{request.output}.$TASK_ID" if is_array else request.output)),
            # The driver asks for another block; a job that starts again would find its settings gone.
            ("-r", "n"),
            ("-t", f"1-{request.size}" if is_array else None),
            ("-q", own.queue),
            ("-P", own.project),
            ("-pe", f"{own.parallel_environment} {slots}" if own.parallel_environment else None),
            ("-l", ",".join(f"{name}={value}" for name, value in resources.items()) or None),
        ]
        lines = [f"#$ {option} {value}" for option, value in options if value is not None]
        lines += ["#$ -notify"] if settings.notice else []
        lines += [settings.scheduler_options.strip("\n")] if settings.scheduler_options.strip() else []
        # SIGUSR2 comes a while before SIGKILL, SIGUSR1 before SIGSTOP: qsub(1), -notify.
        body = supervised(request.body, notices=("USR1", "USR2")) if settings.notice else request.body
        return "\n".join(["#!/bin/sh", *lines, body])

    def submit_command(self, settings: BatchSettings, path: str) -> list[str]:
        """Submit a script, which is refused if no queue can ever run it."""
        return ["qsub", "-terse", *(["-w", "e"] if _own(settings).verify else []), path]

    def job_ids_of(self, output: Completed, size: int) -> list[NativeId]:
        """Ids such as ``12``, or ``12.1`` in an array; a site's own checks may print lines before them."""
        found = _SUBMITTED.findall(output.stdout)
        if not found:
            raise ValueError(f"qsub printed {output.stdout!r} and no number of a job")
        return [NativeId(found[-1])] if size == 1 else [NativeId(f"{found[-1]}.{n}") for n in range(1, size + 1)]

    def element_of(self, native: NativeId) -> int:
        """Number behind the dot, which counts from 1."""
        return int(native.partition(".")[2] or 1) - 1

    def refusal_of(self, output: Completed) -> Refused:
        """Meaning of the answer ``Unable to run job: ...``."""
        return refusal("Grid Engine", "qsub", output, _REFUSALS)

    def status_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """All jobs of the user, and the reasons for which *ids* wait."""
        del settings
        return ["sh", "-c", _STATUS, "sh", ",".join(_jobs(ids))]

    def states_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """States of the user's jobs; those that ended are not listed."""
        listing, _, reasons = output.stdout.partition(_REASONS)
        rows = None if output.exit_code else _rows(listing)
        if rows is None:
            return None
        why = _reasons(reasons)
        return {native: _status(row, why.get(native.partition(".")[0], "")) for native, row in rows.items()}

    def ended_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """The accounts of the jobs of *ids*."""
        del settings
        return ["sh", "-c", _ENDS, "sh", *ids]

    def ends_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """Final states; of several records of one job the last counts. One without a record may get it yet."""
        unknown = BlockStatus(BlockState.UNKNOWN, "qacct has no record of it")
        listed = set(_LISTED.findall(output.stdout))
        asked = map(NativeId, _ASKED.findall(output.stdout))
        found = {native: unknown for native in asked if native.partition(".")[0] in listed}
        why = dict(_REASON.findall(output.stdout))
        ends = _records(output.stdout)
        return found | {native: _end(record, why.get(native.partition(".")[0], "")) for native, record in ends}

    def find_command(self, settings: BatchSettings) -> list[str]:
        """All jobs of the user."""
        del settings
        return ["sh", "-c", _LIST]

    def found_in(self, output: Completed) -> Mapping[NativeId, str] | None:
        """Names by id, without jobs that are in error or being deleted."""
        rows = None if output.exit_code else _rows(output.stdout)
        if rows is None:
            return None
        return {native: row["JB_name"] for native, row in rows.items() if not set("Ed") & set(row["state"])}

    def cancel_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """Delete jobs, or elements of arrays."""
        del settings
        return ["qdel", *ids]

    def not_cancelled(self, output: Completed, ids: Sequence[NativeId]) -> Mapping[NativeId, str]:
        """Those of other users, or all where the qmaster did not answer."""
        said = f"{output.stdout}\n{output.stderr}".strip()
        if not output.exit_code:
            return {}
        if _SILENT.search(said):
            return dict.fromkeys(ids, f"qdel: {said}")
        wrong = [line for line in said.splitlines() if "denied" in line and "does not exist" not in line]
        return {
            native: f"qdel: {line}"
            for native in ids
            for line in wrong
            if re.search(rf"\b{re.escape(native.partition('.')[0])}\b", line)
        }

    def expected_start_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """None: Grid Engine has no command for it."""
        del settings, ids
        return None

    def expected_starts_of(self, output: Completed) -> Mapping[NativeId, str]:
        """None."""
        del output
        return {}


def _own(settings: BatchSettings) -> GridEngineProvider:
    return cast("GridEngineProvider", settings)


def _jobs(ids: Iterable[NativeId]) -> list[str]:
    return list(dict.fromkeys(each.partition(".")[0] for each in ids))


def _quoted(path: str) -> str:
    return f'"{path}"' if shlex.quote(path.replace("$TASK_ID", "")) != path.replace("$TASK_ID", "") else path


def _rows(text: str) -> dict[NativeId, dict[str, str]] | None:
    """Fields of each job or element by id; None if *text* is no answer."""
    try:
        root = ET.fromstring(text[max(text.find("<?xml"), 0) :].strip())  # noqa: S314 - of the site's scheduler
    except ET.ParseError:
        return None
    rows: dict[NativeId, dict[str, str]] = {}
    for job in root.iter("job_list"):
        row = {field.tag: field.text or "" for field in job}
        native = ".".join(filter(None, [row.get("JB_job_number", ""), row.get("tasks", "")]))
        rows[NativeId(native)] = {"state": "", "JB_name": "", **row}
    return rows


def _status(row: Mapping[str, str], why: str) -> BlockStatus:
    """Letters of states: qstat(1), "OUTPUT FORMATS"."""
    letters = set(row["state"])
    hosts = tuple(filter(None, [row.get("queue_name", "").partition("@")[2]]))
    if "E" in letters:
        return BlockStatus(
            BlockState.FAILED, f"Grid Engine could not start the job: {why or 'see qstat -j'}", EndCause.OTHER
        )
    if letters & set("sSTN"):
        return BlockStatus(BlockState.RUNNING, "Grid Engine suspended it", hosts=hosts)
    if "r" in letters or "d" in letters:
        return BlockStatus(BlockState.RUNNING, hosts=hosts)
    if "h" in letters:
        return BlockStatus(BlockState.PENDING, "held; `qrls` releases it")
    if letters & set("qwt"):
        return BlockStatus(BlockState.PENDING, why)
    return BlockStatus(BlockState.UNKNOWN, f"state {row['state']!r}")


def _reasons(text: str) -> dict[str, str]:
    """Reasons for waiting by number of the job, from ``qstat -j``."""
    found: dict[str, str] = {}
    for section in re.split(r"^=+$", text, flags=re.MULTILINE):
        number = re.search(r"^job_number:\s+(\d+)", section, re.MULTILINE)
        error = re.search(r"^error reason[^:]*:\s+(?:[\d/]+ [\d:]+ )?(?:\[[\d:]+\]: )?(.*)", section, re.MULTILINE)
        info = re.search(r"^scheduling info:\s+(.*(?:\n\s+.*)*)", section, re.MULTILINE)
        if number:
            why = error[1] if error else "; ".join(map(str.strip, info[1].splitlines())) if info else ""
            found[number[1]] = "" if why.startswith("There are no messages") else why.strip()
    return found


def _records(text: str) -> Iterator[tuple[NativeId, dict[str, str]]]:
    for section in re.split(r"^=+$", text, flags=re.MULTILINE):
        record = dict(re.findall(r"^(\w+)[ \t]+(.*?)[ \t]*$", section, re.MULTILINE))
        if number := record.get("jobnumber"):
            task = record.get("taskid", "undefined")
            yield NativeId(number if task == "undefined" else f"{number}.{task}"), record


def _end(record: Mapping[str, str], why: str) -> BlockStatus:
    failed, _, meaning = record.get("failed", "0").partition(":")
    code = int(re.sub(r"\D.*", "", record.get("exit_status", "0")) or 0)
    number = int(re.sub(r"\D", "", failed) or 0)
    if number and number < _STARTED and number not in _RESCHEDULED:
        words = f"Grid Engine could not start the job on {record.get('hostname')}: {why or meaning.strip()}"
        return BlockStatus(BlockState.FAILED, words, EndCause.OTHER, code)
    words = f"Grid Engine: {meaning.strip()}" if meaning.strip() else ""
    cause = None
    if number in _ENFORCED:
        cause = EndCause.WALLTIME if _ran_out(record) else EndCause.OOM
    elif number in _RESCHEDULED:
        cause = EndCause.PREEMPTED
    elif record.get("deleted_by", "NONE") not in {"NONE", ""}:  # Univa's and Altair's
        cause, words = EndCause.USER, f"Grid Engine: deleted by {record['deleted_by']}"
    elif number and not code:
        cause = EndCause.OTHER
    return end_status(words, cause=cause, exit_code=code)


def _ran_out(record: Mapping[str, str]) -> bool:
    """True unless the job asked for more time than it had when a limit was enforced."""
    asked = re.search(r"\bh_rt=(\d+)", record.get("category", ""))
    spent = re.match(r"[\d.]+", record.get("ru_wallclock", ""))
    return asked is None or spent is None or float(spent[0]) >= float(asked[1]) - 1


GRID_ENGINE = GridEngineDialect()

"""The dialect of HTCondor; pure.

::

    sh SCRIPT ──on the submit machine──> condor_submit, with the description in the script   executable = SCRIPT
    SCRIPT run ──in a slot─────────────> the job's body

One file is both, since a job's description and its program are two texts to HTCondor, and one script to cnflow.

A job is evicted (its slot is needed by others) by a signal, and waits again. It is never started a second time: its
block has ended, and its tasks run in others. `removal_rule` has the schedd remove it, so that no job is left behind.

Manual: https://htcondor.readthedocs.io/en/23.0/man-pages/condor_submit.html; tested with HTCondor 23.9.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import TYPE_CHECKING, cast

from cnflow.errors import ConfigurationError
from cnflow.ids import NativeId
from cnflow.model.block import Refusal
from cnflow.providers.batch.condor_jobs import COMPLETED, ENDS, REMOVED, STATUS, end_of, removal_rule, rows_of, state_of
from cnflow.providers.batch.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.config.condor import CondorProvider
    from cnflow.interfaces.channel import Completed
    from cnflow.model.block import BlockStatus, Refused
    from cnflow.providers.batch.dialect import JobRequest

_RUN = "run"
"""Argument by which the script is the job and not its submission."""

_END = "CNFLOW_DESCRIPTION"
_NAME = "CnflowName"
"""Attribute of a job by which its block is found again."""

_INDEX = "CNFLOW_CONDOR_PROCESS"
_MIB = 1 << 20
_KIB = 1 << 10

_LOGIN = 'export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}" HOME="${HOME:-$PWD}" USER="${USER:-$(id -un)}"'
"""Variables of a login, which slots do not set."""

_REQUIREMENTS = re.compile(r"\s*requirements\s*=(.*)", re.IGNORECASE)

# Words of condor_submit 23 and of the schedd, what they mean, and what the user can do; the first that fits counts.
_REFUSALS: tuple[tuple[str, Refusal, str], ...] = (
    (
        r"MAX_JOBS_(SUBMITTED|PER_OWNER|PER_SUBMISSION)|exceed.* jobs",
        Refusal.BUSY,
        "The queue takes no more jobs of this user now; another try follows.",
    ),
    (
        r"(can't|failed to|cannot) (connect|locate|find address)|unknown host|not running",
        Refusal.FAILED,
        "Is the condor_schedd running? Try condor_q there, or name the queue by schedd= and pool=.",
    ),
    (
        r"cannot allocate a cluster id|\broot\b",
        Refusal.FOR_GOOD,
        "The queue takes no job of this user; HTCondor takes none of root. Submit as another user.",
    ),
    (
        r"(parse error|syntax error|expression).*",
        Refusal.FOR_GOOD,
        "Correct requirements= or scheduler_options= of CondorProvider.",
    ),
    (
        r"no such file|can't open|does not exist|is not accessible",
        Refusal.FOR_GOOD,
        "Correct transfer_input_files= of CondorProvider: these paths are the submit machine's.",
    ),
    (r"ERROR|requirement", Refusal.FOR_GOOD, "Correct the options of CondorProvider, or its scheduler_options."),
)


class _Condor:
    """HTCondor. Native ids are ``CLUSTER.PROCESS``."""

    name = "HTCondor"
    programs: Sequence[str] = ("condor_submit", "condor_q", "condor_history", "condor_rm")
    has_arrays = True
    index_variable = _INDEX
    first_index = 0

    def refuse(self, settings: BatchSettings) -> None:
        """Refuse names that the description's own syntax would take apart."""
        for path in _condor(settings).transfer_input_files:
            if "," in path or "\n" in path:
                raise ConfigurationError(
                    f"transfer_input_files of CondorProvider has {path!r}, and HTCondor separates files by commas. "
                    "Give one path in each element of the list, and rename a file whose name has a comma."
                )
        if f"\n{_END}\n" in f"\n{settings.scheduler_options}\n":
            raise ConfigurationError(f"scheduler_options may not have the line {_END!r}, which ends the description.")

    def submit_script(self, settings: BatchSettings, request: JobRequest) -> str:
        """A script that submits itself, and is the job's program in the slot."""
        own = _condor(settings)
        description = "\n".join(_description(own, request))
        submit = ["condor_submit", "-terse", *_where(settings), "-append", '"executable = $0"']
        own_files = [*(f"{path}.$(Process)" for path in request.element_files), *own.transfer_input_files]
        if request.files or own_files:
            submit += ["-append", '"transfer_input_files = $brought"']
        return (
            "#!/bin/sh\n"
            f'if [ "${{1-}}" != {_RUN} ]; then\n'
            f"{_packing(request.files, own_files)}"
            f"exec {' '.join(submit)} - <<'{_END}'\n"
            f"{description}\n"
            f"{_END}\n"
            "fi\n"
            "exec 2>&1\n"
            f"{_LOGIN}\n"
            f"{_unpacking(request.files)}"
            f"{request.body}"
        )

    def submit_command(self, settings: BatchSettings, path: str) -> list[str]:  # noqa: ARG002 - part of the seam
        """Run the script, which submits itself."""
        return ["sh", path]

    def job_ids_of(self, output: Completed, size: int) -> list[NativeId]:
        """From ``CLUSTER.FIRST - CLUSTER.LAST``, the output of ``condor_submit -terse``."""
        found = re.search(r"^(\d+)\.(\d+)(?: - \1\.(\d+))?\s*$", output.stdout, re.MULTILINE | re.ASCII)
        if found is None:
            raise ValueError(f"condor_submit printed no id: {output.stdout.strip()!r}")
        cluster, first = found[1], int(found[2])
        return [NativeId(f"{cluster}.{first + element}") for element in range(size)]

    def element_of(self, native: NativeId) -> int:
        """The process in its cluster."""
        return int(native.partition(".")[2] or 0)

    def refusal_of(self, output: Completed) -> Refused:
        """By condor_submit's words."""
        return refusal(self.name, "condor_submit", output, _REFUSALS)

    def status_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """``condor_q`` for the ids, a line of tabs for each."""
        return ["condor_q", *_where(settings), *ids, "-af:jt", *STATUS]

    def states_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """States; None if the queue did not answer, which condor_q reports by its exit code."""
        if output.exit_code != 0:
            return None
        return {native: state_of(row) for native, row in rows_of(output.stdout, STATUS)}

    def ended_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """``condor_history``, which reads backwards and stops once it has found them all."""
        return ["condor_history", *_where(settings), *ids, "-limit", str(len(ids)), "-af:jt", *ENDS]

    def ends_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """Ends, with their causes."""
        if output.exit_code != 0:
            return None
        return {native: end_of(row) for native, row in rows_of(output.stdout, ENDS)}

    def find_command(self, settings: BatchSettings) -> list[str]:
        """Jobs of this user in the queue that cnflow named."""
        living = f"{_NAME} =!= undefined && JobStatus != {REMOVED} && JobStatus != {COMPLETED}"
        return ["condor_q", *_where(settings), "-constraint", living, "-af:jt", _NAME]

    def found_in(self, output: Completed) -> Mapping[NativeId, str] | None:
        """Names by id."""
        if output.exit_code != 0:
            return None
        return {native: row[_NAME] for native, row in rows_of(output.stdout, (_NAME,))}

    def cancel_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """``condor_rm``; the job gets SIGTERM first."""
        return ["condor_rm", *_where(settings), *ids]

    def not_cancelled(self, output: Completed, ids: Sequence[NativeId]) -> Mapping[NativeId, str]:
        """All but those that condor_rm names as marked, or as not found any more."""
        words = f"{output.stdout}\n{output.stderr}"
        confirmed = set(re.findall(r"Job (\d+\.\d+) (?:marked for removal|not found|already)", words))
        if "There are no jobs in the queue" in words:
            return {}
        reason = output.stderr.strip() or f"condor_rm ended with code {output.exit_code}"
        return {native: reason for native in ids if native not in confirmed}

    def expected_start_command(
        self,
        settings: BatchSettings,  # noqa: ARG002 - part of the seam
        ids: Sequence[NativeId],  # noqa: ARG002
    ) -> list[str] | None:
        """None: HTCondor tells no time."""
        return None

    def expected_starts_of(self, output: Completed) -> Mapping[NativeId, str]:  # noqa: ARG002 - part of the seam
        """None are told."""
        return {}


DIALECT = _Condor()


def _condor(settings: BatchSettings) -> CondorProvider:
    return cast("CondorProvider", settings)


def _where(settings: BatchSettings) -> list[str]:
    condor = _condor(settings)
    return [
        *(["-pool", condor.pool] if condor.pool else []),
        *(["-name", condor.schedd] if condor.schedd else []),
    ]


def _description(settings: CondorProvider, request: JobRequest) -> Iterator[str]:
    """Lines of the submit description."""
    yield f"arguments = {_RUN}"
    yield f"batch_name = {request.name}"
    yield f'My.{_NAME} = "{request.name}"'
    yield f"output = {request.output}{'.$(Process)' if request.size > 1 else ''}"
    yield "stream_output = True"  # the output of a job that runs can be read
    yield f'environment = "{_INDEX}=$(Process)"'
    yield f"should_transfer_files = {'IF_NEEDED' if settings.has_shared_files else 'YES'}"
    yield "when_to_transfer_output = ON_EXIT"
    yield 'transfer_output_files = ""'  # else all that tasks left in the slot's folder is sent back
    yield from _resources(settings)
    raw, own = _taken_apart(settings.scheduler_options)
    yield f"requirements = {_requirements([settings.requirements, *own])}"
    yield f"periodic_remove = {removal_rule(request.walltime)}"
    if settings.notice:
        yield f"job_max_vacate_time = {round(settings.notice)}"  # between SIGTERM and SIGKILL
    if settings.project:
        yield f'My.ProjectName = "{settings.project}"'
    if settings.accounting_group:
        yield f"accounting_group = {settings.accounting_group}"
    yield from raw
    yield f"queue {request.size}"


def _packing(files: Sequence[str], others: Sequence[str]) -> str:
    """Shell that sets ``brought``: *others*, and *files*, of which it packs folders, once.

    HTCondor sends a folder file by file, and follows its links, of which a root file system has some that lead nowhere.
    """
    listed = f"brought={shlex.quote(', '.join(others))}\n" if files or others else ""
    if not files:
        return listed
    return f"""\
umask 077
{listed}for each in {shlex.join(files)}; do
  if [ -d "$each" ]; then
    [ -f "$each.tar" ] || {{ tar -cf "$each.tar.$$" -C "$each" . && mv "$each.tar.$$" "$each.tar"; }} || exit 1
    each=$each.tar
  fi
  brought="$each${{brought:+, $brought}}"
done
"""


def _unpacking(files: Sequence[str]) -> str:
    """Shell that unpacks in the slot what `_packing` packed."""
    if not files:
        return ""
    return f"""\
for each in {shlex.join(map(posixpath.basename, files))}; do
  [ ! -f "$each.tar" ] || {{ mkdir "$each" && tar -xf "$each.tar" -C "$each" && rm "$each.tar"; }} || exit 1
done
"""


def _resources(settings: CondorProvider) -> Iterator[str]:
    if settings.cores_per_slot is not None:
        yield f"request_cpus = {settings.cores_per_slot}"
    if settings.mem_per_slot is not None:
        yield f"request_memory = {-(-settings.mem_per_slot // _MIB)}"
    if settings.disk_per_slot is not None:
        yield f"request_disk = {-(-settings.disk_per_slot // _KIB)}"
    if settings.gpus_per_slot is not None:
        yield f"request_gpus = {settings.gpus_per_slot}"


def _taken_apart(options: str) -> tuple[list[str], list[str]]:
    """Lines of `scheduler_options`, and the requirements among them, which would take the place of cnflow's."""
    lines = [line for line in options.splitlines() if line.strip()]
    found = [_REQUIREMENTS.fullmatch(line) for line in lines]
    return [line for line, own in zip(lines, found, strict=True) if own is None], [own[1] for own in found if own]


def _requirements(own: Sequence[str]) -> str:
    """Requirements of the user, and that the job never ran."""
    first = "(MY.NumJobStarts =?= undefined || MY.NumJobStarts == 0)"
    return " && ".join([*(f"({each.strip()})" for each in own if each.strip()), first])

"""What the dialects of PBS Professional and of Torque share: the same commands, with other options."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from cnflow.ids import NativeId
from cnflow.model.block import Refusal
from cnflow.providers.batch import qstat
from cnflow.providers.batch.files import CODE
from cnflow.providers.batch.refusals import Words, refusal
from cnflow.providers.batch.supervised import supervised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.config.pbs import PBSSettings
    from cnflow.interfaces.channel import Completed
    from cnflow.model.block import BlockStatus, EndCause, Refused
    from cnflow.providers.batch.dialect import JobRequest

_SUBMITTED = re.compile(r"^(\d+)(\[\])?(\.\S+)?$", re.MULTILINE)
_INDEX = re.compile(r"\[(\d+)\]")
_USER = "cnflow-user: "

# qsub(1B), and the messages of PBSE_... in pbs_error.h of OpenPBS 22.05 and Torque 6.1; those of sbatch for Debian's
# Torque commands, which pass them on.
REFUSALS: Words = (
    (r"would exceed|maximum number of jobs|exceeds? the (queue|server) limit", Refusal.BUSY, ""),
    (r"cannot connect|can't connect|connection refused|no server", Refusal.FAILED, "Another attempt follows."),
    (r"unknown queue|access to queue is denied|invalid partition", Refusal.FOR_GOOD, "Set queue to one of `qstat -Q`."),
    (r"queue is not enabled", Refusal.FOR_GOOD, "The queue takes no jobs now; set queue to another one of `qstat -Q`."),
    (
        r"exceeds queue|violates queue|resource limits|time limit",
        Refusal.FOR_GOOD,
        "Ask for less: compare walltime, nodes and CPUs with the limits of `qstat -Q -f`.",
    ),
    (r"account|project", Refusal.FOR_GOOD, "Set account to one that you may charge."),
    (r"unknown resource", Refusal.FOR_GOOD, "Correct the resources in the provider's settings."),
    (r"hook|filter|illegal|invalid|not permitted|unauthorized", Refusal.FOR_GOOD, "Correct the provider's settings."),
)


class PBSFamily:
    """Methods of `cnflow.providers.batch.dialect.Dialect` that are the same for the family.

    Args:
        name: of the scheduler, for messages.
        codes: cause of an end by exit status, for those that the scheduler itself sets.
    """

    programs: Sequence[str] = ("qsub", "qstat", "qdel")
    first_index = 0

    def __init__(self, name: str, codes: Mapping[int, EndCause]) -> None:
        self.name = name
        self._codes = codes

    def refuse(self, settings: BatchSettings) -> None:
        """Refuse nothing: whatever can be written can be asked for."""

    def submit_command(self, settings: BatchSettings, path: str) -> list[str]:
        """Submit a script. Its output is its own affair: PBS copies what it keeps of it at the end of the job alone."""
        del settings
        return ["qsub", "-j", "oe", "-o", "/dev/null", path]

    def job_ids_of(self, output: Completed, size: int) -> list[NativeId]:
        """Ids such as ``12.server``, or ``12[0].server`` in an array."""
        found = list(_SUBMITTED.finditer(output.stdout))
        if not found:
            raise ValueError(f"qsub printed {output.stdout!r} and no id of a job")
        number, server = found[-1][1], found[-1][3] or ""
        if size == 1:
            return [NativeId(f"{number}{server}")]
        return [NativeId(f"{number}[{index}]{server}") for index in range(size)]

    def element_of(self, native: NativeId) -> int:
        """Number in the brackets."""
        index = _INDEX.search(native)
        return int(index[1]) if index else 0

    def refusal_of(self, output: Completed) -> Refused:
        """Meaning of ``qsub: ...``."""
        return refusal(self.name, "qsub", output, REFUSALS)

    def status_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """All attributes of *ids*."""
        del settings
        return ["qstat", "-f", *ids]

    def states_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """States of the jobs that live, and of those that ended where the scheduler still lists them."""
        if not qstat.has_answered(output):
            return None
        found = {native: qstat.living(job) or qstat.ended(job, self._codes) for native, job in self._jobs(output)}
        return {native: status for native, status in found.items() if status is not None}

    def ends_of(self, output: Completed) -> Mapping[NativeId, BlockStatus] | None:
        """Final states."""
        found = {native: qstat.ended(job, self._codes) for native, job in self._jobs(output)}
        return {native: status for native, status in found.items() if status is not None}

    def found_in(self, output: Completed) -> Mapping[NativeId, str] | None:
        """Names of the user's jobs by id."""
        head, _, listing = output.stdout.partition("\n")
        if not head.startswith(_USER) or not qstat.has_answered(output):
            return None
        owner = head.removeprefix(_USER).strip()
        return {
            native: job.get("Job_Name", "")
            for native, job in qstat.jobs_in(listing).items()
            if job.get("Job_Owner", owner).partition("@")[0] == owner and qstat.living(job) and "[]" not in native
        }

    def cancel_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str]:
        """Delete jobs."""
        del settings
        return ["qdel", *ids]

    def not_cancelled(self, output: Completed, ids: Sequence[NativeId]) -> Mapping[NativeId, str]:
        """Those for which qdel complains, unless they are gone; all where the server did not answer."""
        lines = [line for line in f"{output.stdout}\n{output.stderr}".splitlines() if line.strip()]
        bad = [line for line in lines if not _IS_OVER.search(line)]
        if not output.exit_code or not bad:
            return {}
        named = {native: line for native in ids for line in bad if _names(line, native)}
        return named or dict.fromkeys(ids, "; ".join(bad))

    def _jobs(self, output: Completed) -> list[tuple[NativeId, qstat.Job]]:
        return list(qstat.jobs_in(output.stdout).items())


# What qdel says of a job that needs no end: 15001 PBSE_UNKJOBID, 15018 PBSE_BADSTATE, 15139 PBSE_HISTJOBID.
_IS_OVER = re.compile(r"unknown job|has finished|invalid for state|already", re.IGNORECASE)


def _names(line: str, native: NativeId) -> bool:
    return re.search(rf"(?<!\w){re.escape(native)}(?!\w)", line) is not None


def script(settings: PBSSettings, request: JobRequest, resources: Sequence[str], others: Sequence[str]) -> str:
    """Script for ``qsub``, which writes its output and its exit code itself: a site may keep no history.

    Args:
        settings: of the provider.
        request: the job.
        resources: values of ``-l``.
        others: further options.
    """
    options = [
        "-S /bin/sh",
        f"-N {request.name}",
        "-m n",
        # The driver asks for another block; a job that starts again would find its settings gone.
        "-r n",
        *(f"-l {resource}" for resource in resources),
        *([f"-q {settings.queue}"] if settings.queue else []),
        *([f"-A {settings.account}"] if settings.account else []),
        *others,
    ]
    lines = [f"#PBS {option}" for option in options]
    lines += [settings.scheduler_options.strip("\n")] if settings.scheduler_options.strip() else []
    output = shlex.quote(request.output) + ('."$PBS_ARRAY_INDEX"' if request.size > 1 else "")
    body = supervised(request.body, record=f"{output}{CODE}")
    return "\n".join(["#!/bin/sh", *lines, f"exec >>{output} 2>&1", body])


def find_script(listing: str) -> list[str]:
    """Command that prints the user's name, and then what *listing* prints."""
    return ["sh", "-c", f'user=$(id -un); echo "{_USER}$user"; {listing}']

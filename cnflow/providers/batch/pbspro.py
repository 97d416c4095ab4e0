"""The dialect of PBS Professional, from 13 to 2022, and of OpenPBS.

::

    qsub SCRIPT                    "12.server", or "12[].server" for an array
    qstat -f 12.server             attributes of jobs that live
    qstat -x -f 12.server          of those that ended, too, where the site keeps a history

Facts: "PBS Professional 2022.1 Reference Guide", Altair, https://help.altair.com/2022.1.0/PBS%20Professional/
PBSReferenceGuide2022.1.pdf: qsub, qstat, "Job Attributes"; User's Guide, "Job Arrays" and "Job Exit Status".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cnflow.model.block import EndCause
from cnflow.providers.batch import pbs_family, qstat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.config.pbs import PBSProProvider
    from cnflow.ids import NativeId
    from cnflow.interfaces.channel import Completed
    from cnflow.providers.batch.dialect import JobRequest

# JOB_EXEC_... in job.h of OpenPBS 22.05; "Job Exit Codes" in the Administrator's Guide.
_CODES: Mapping[int, EndCause] = {
    -26: EndCause.OOM,
    -27: EndCause.OOM,
    -28: EndCause.WALLTIME,
    -29: EndCause.WALLTIME,
}

# Arrays are listed by qselect as one job; -t shows their elements.
_FIND = 'ids=$(qselect -u "$user") || exit; [ -z "$ids" ] || qstat -f -t $ids'


class PBSProDialect(pbs_family.PBSFamily):
    """See `cnflow.providers.batch.dialect.Dialect`."""

    programs = ("qsub", "qstat", "qdel", "qselect")
    has_arrays = True
    index_variable = "PBS_ARRAY_INDEX"

    def submit_script(self, settings: BatchSettings, request: JobRequest) -> str:
        """Script with a chunk for each node."""
        own = cast("PBSProProvider", settings)
        chunk = [f"ncpus={own.cpus_per_node}"]
        chunk += [f"ngpus={own.gpus_per_node}"] if own.gpus_per_node else []
        chunk += [own.select_options.strip(":")] if own.select_options.strip(":") else []
        place = ["scatter"] if request.nodes > 1 else []
        place += ["excl"] if own.exclusive else []
        resources = [f"select={request.nodes}:{':'.join(chunk)}"]
        resources += [f"place={':'.join(place)}"] if place else []
        resources += [] if request.walltime is None else [f"walltime={qstat.clock_text(request.walltime)}"]
        others = [f"-P {own.project}"] if own.project else []
        others += [f"-J 0-{request.size - 1}"] if request.size > 1 else []
        return pbs_family.script(own, request, resources, others)

    def ended_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """The history of *ids*."""
        del settings
        return ["qstat", "-x", "-f", *ids]

    def find_command(self, settings: BatchSettings) -> list[str]:
        """All jobs of the user."""
        del settings
        return pbs_family.find_script(_FIND)

    def expected_start_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """Attributes of *ids*, of which one is the estimate, where the site makes any."""
        del settings
        return ["qstat", "-f", *ids]

    def expected_starts_of(self, output: Completed) -> Mapping[NativeId, str]:
        """Values of ``estimated.start_time``."""
        jobs = qstat.jobs_in(output.stdout).items()
        return {native: job["estimated.start_time"] for native, job in jobs if "estimated.start_time" in job}


PBS_PRO = PBSProDialect("PBS Professional", _CODES)

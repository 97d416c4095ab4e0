"""The dialect of Torque, from 2.5 to 6.1, and of Slurm behind Torque's commands (Debian's slurm-wlm-torque).

::

    qsub SCRIPT                    "12.server", or "12"
    qstat -f 12.server             attributes of jobs that live, and for a while (keep_completed) of those that ended

Facts: https://docs.adaptivecomputing.com/torque/6-1-2/adminGuide/torque.htm: "Commands Overview", "Job Exit Status".
Arrays of Torque are not used: the commands for Slurm print numbers for their elements that are no numbers of elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cnflow.model.block import EndCause
from cnflow.providers.batch import pbs_family, qstat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.batch import BatchSettings
    from cnflow.config.pbs import TorqueProvider
    from cnflow.ids import NativeId
    from cnflow.interfaces.channel import Completed
    from cnflow.providers.batch.dialect import JobRequest

# https://docs.adaptivecomputing.com/torque/6-1-2/adminGuide/Content/topics/torque/2-jobs/jobExitStatus.htm (6.1.2)
_CODES: Mapping[int, EndCause] = {
    -10: EndCause.OOM,
    -11: EndCause.WALLTIME,
    -12: EndCause.WALLTIME,
}

_FIND = 'if ids=$(qselect -u "$user" 2>/dev/null); then [ -z "$ids" ] || qstat -f $ids; else qstat -f; fi'


class TorqueDialect(pbs_family.PBSFamily):
    """See `cnflow.providers.batch.dialect.Dialect`."""

    has_arrays = False
    index_variable = ""

    def submit_script(self, settings: BatchSettings, request: JobRequest) -> str:
        """Script with ``-l nodes=N:ppn=CPUS``."""
        own = cast("TorqueProvider", settings)
        nodes = [f"nodes={request.nodes}", f"ppn={own.cpus_per_node}"]
        nodes += [f"gpus={own.gpus_per_node}"] if own.gpus_per_node else []
        nodes += [own.node_properties.strip(":")] if own.node_properties.strip(":") else []
        resources = [":".join(nodes)]
        resources += [] if request.walltime is None else [f"walltime={qstat.clock_text(request.walltime)}"]
        resources += [f"qos={own.qos}"] if own.qos else []
        return pbs_family.script(own, request, resources, ["-n"] if own.exclusive else [])

    def ended_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """None: `states_of` has those that ended, as long as the server keeps them."""
        del settings, ids
        return None

    def find_command(self, settings: BatchSettings) -> list[str]:
        """All jobs of the user; of all users where there is no qselect."""
        del settings
        return pbs_family.find_script(_FIND)

    def expected_start_command(self, settings: BatchSettings, ids: Sequence[NativeId]) -> list[str] | None:
        """None: Torque leaves it to its schedulers."""
        del settings, ids
        return None

    def expected_starts_of(self, output: Completed) -> Mapping[NativeId, str]:
        """None."""
        del output
        return {}


TORQUE = TorqueDialect("Torque", _CODES)

"""Translates the end of a batch system's job to ``CNFLOW_BLOCK_ENDS_AT``, the only one that a manager reads. No I/O.

::

    driver inside a job, LocalProvider:    block_end(os.environ, job_start) ──┐
    job script of a batch system:          BLOCK_END_SCRIPT, on the node ─────┼──> CNFLOW_BLOCK_ENDS_AT ──> manager
    a site that has neither variable:      worker_init ───────────────────────┘

The function and the script give the same answer; a test compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.manager_settings import BLOCK_ENDS_AT

if TYPE_CHECKING:
    from collections.abc import Mapping

# SLURM_JOB_END_TIME: seconds since 1970, https://slurm.schedmd.com/srun.html (Slurm 23.02 and newer).
# PBS_WALLTIME: seconds from the job's start (OpenPBS and Torque).
BLOCK_END_SCRIPT = f"""\
{BLOCK_ENDS_AT}="${{{BLOCK_ENDS_AT}:-${{SLURM_JOB_END_TIME:-}}}}"
if [ -z "${BLOCK_ENDS_AT}" ] && [ -n "${{PBS_WALLTIME:-}}" ]; then
    {BLOCK_ENDS_AT}=$(($(date +%s) + PBS_WALLTIME))
fi
export {BLOCK_ENDS_AT}
"""
"""POSIX shell for the top of a job script, which runs when the job starts; exports an empty text if no end is known."""


def block_end(environment: Mapping[str, str], job_start: float) -> dict[str, str]:
    """Return the variable to add to the environment of a block that runs inside the job of *environment*.

    The user's own ``CNFLOW_BLOCK_ENDS_AT`` comes first, then Slurm's time, then the one of PBS.

    Args:
        environment: of a process in the job.
        job_start: Unix time at which the job began, in seconds. Only PBS needs it; a time that is too late makes the
            block's end too late by as much.

    Returns:
        ``{"CNFLOW_BLOCK_ENDS_AT": seconds since 1970}``, or nothing where *environment* has no such variable.
    """
    end = environment.get(BLOCK_ENDS_AT) or environment.get("SLURM_JOB_END_TIME")
    if end:
        return {BLOCK_ENDS_AT: end}
    try:
        walltime = float(environment.get("PBS_WALLTIME", ""))
    except ValueError:
        return {}
    return {BLOCK_ENDS_AT: f"{job_start + walltime:.0f}"}

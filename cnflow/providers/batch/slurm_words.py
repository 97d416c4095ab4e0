"""What Slurm's messages and reasons mean for the user; tables alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.block import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PARTITIONS = "Correct SlurmProvider(partition=...): 'sinfo' lists the partitions."

# Messages: https://github.com/SchedMD/slurm/blob/slurm-25-05-0-1/src/common/slurm_errno.c
REFUSALS: Sequence[tuple[str, Refusal, str]] = (
    (r"timed out|zero bytes were transmitted", Refusal.UNKNOWN, "The controller did not answer in time."),
    (r"unable to contact slurm controller", Refusal.FAILED, "The controller does not answer; it is asked again later."),
    (
        r"MaxSubmit|GrpSubmit|temporarily unable|resource temporarily unavailable|too many jobs|job array task limit",
        Refusal.BUSY,
        "It is asked again later; set a lower max_blocks of the provider if the limit is one of the site.",
    ),
    (
        r"invalid account|account/partition",
        Refusal.FOR_GOOD,
        "Correct SlurmProvider(account=...): 'sacctmgr show associations user=$USER' lists yours.",
    ),
    (r"partition", Refusal.FOR_GOOD, _PARTITIONS),
    (
        r"invalid qos|qos specification",
        Refusal.FOR_GOOD,
        "Correct SlurmProvider(qos=...): 'sacctmgr show qos' lists what there is.",
    ),
    (
        r"time limit is invalid|time limit specification|MaxWall",
        Refusal.FOR_GOOD,
        "Set a shorter walltime of the provider: 'sinfo -o \"%P %l\"' shows the limit of each partition.",
    ),
    (
        r"invalid feature|constraint",
        Refusal.FOR_GOOD,
        "Correct SlurmProvider(constraint=...): 'sinfo -o \"%P %f\"' shows the features of the nodes.",
    ),
    (
        r"node count|node configuration|more processors|cpu count|memory specification|generic resource|gres|gpu",
        Refusal.FOR_GOOD,
        (
            "No node of the partition has what the job asks for: 'sinfo -N -l' shows what they have. Correct "
            "nodes_per_block, cores_per_node, mem_per_node, gpus_per_node or gres of the provider."
        ),
    ),
    (
        r"QOS|policy|Assoc",
        Refusal.FOR_GOOD,
        "A limit of your account or QOS is exceeded: 'sacctmgr show associations user=$USER' shows the limits.",
    ),
    (
        r"access/permission denied|permission denied|invalid user",
        Refusal.FOR_GOOD,
        "Slurm does not let you submit: ask the site, or correct account and partition of the provider.",
    ),
    (
        r"unrecognized option|invalid option|invalid directive|invalid .*specification|unable to open file",
        Refusal.FOR_GOOD,
        "Correct scheduler_options of the provider; 'cnflow config show --requests' prints the script.",
    ),
    (
        r"batch job submission failed",
        Refusal.FOR_GOOD,
        "A rule of the site refused the job: follow the message, by options of the provider or scheduler_options.",
    ),
)
"""Pattern of a message of ``sbatch``, its meaning and the user's next step; the first that matches is taken."""

# Reasons: https://slurm.schedmd.com/job_reason_codes.html (Slurm 25.05).
NEVER_STARTS: Mapping[str, str] = {
    "PartitionTimeLimit": "Set a walltime of the provider within the partition's limit: 'sinfo -o \"%P %l\"' shows it.",
    "PartitionNodeLimit": "The partition has, or allows, fewer nodes than nodes_per_block: 'sinfo' shows them.",
    "BadConstraints": "No node has what the job asks for: correct constraint, gres, cores or memory of the provider.",
    "InvalidAccount": "Correct SlurmProvider(account=...).",
    "InvalidQOS": "Correct SlurmProvider(qos=...).",
    "AccountNotAllowed": "The partition does not take this account: correct account or partition of the provider.",
    "QOSNotAllowed": "The partition does not take this QOS: correct qos or partition of the provider.",
    "QOSMaxWallDurationPerJobLimit": "Set a shorter walltime of the provider, within the limit of the QOS.",
    "AssocMaxWallDurationPerJobLimit": "Set a shorter walltime of the provider, within the limit of the account.",
    "QOSMaxNodePerJobLimit": "Set a lower nodes_per_block of the provider, within the limit of the QOS.",
    "AssocMaxNodePerJobLimit": "Set a lower nodes_per_block of the provider, within the limit of the account.",
    "JobHoldMaxRequeue": "It was started again too often.",
    "launch failed requeued held": "Its node could not start it.",
}
"""Reasons for which a job waits for ever, with the user's next step."""

_MEANING: Mapping[str, str] = {
    "Priority": "jobs of higher priority come first",
    "Resources": "no nodes are free for it yet",
    "None": "Slurm has not looked at it yet",
    "Dependency": "another job must end first",
    "BeginTime": "its begin time is not reached",
    "JobHeldUser": "it is held; 'scontrol release' lets it go",
    "JobHeldAdmin": "the site holds it",
    "PartitionConfig": "no node of the partition has what it asks for, now or ever; compare it with 'sinfo -N -l'",
    "PartitionDown": "its partition is closed",
    "PartitionInactive": "its partition is closed",
    "Reservation": "its reservation has not begun",
    "ReqNodeNotAvail": "nodes that it needs are down or reserved, such as for maintenance",
    "Licenses": "a licence is not free",
    "JobArrayTaskLimit": "the array's limit of jobs at one time is reached",
}


def waiting(reason: str, start: str) -> str:
    """Return why a job waits, and when it is expected to start; *start* is empty if Slurm does not know."""
    word = reason.partition(",")[0]
    meaning = _MEANING.get(word, "a limit is reached" if "Limit" in word or "Grp" in word else "")
    detail = f" ({meaning})" if meaning else ""
    expected = f"; expected to start at {start}" if start else ""
    return f"waits in Slurm's queue: {reason}{detail}{expected}"

"""Environment variables of managers and tasks: cnflow's own, and the reference's for its scripts; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import ManagerId, WorkerRank

_GIB = 2**30


def worker_variables(rank: WorkerRank, count: int, manager: ManagerId, block: str) -> dict[str, str]:
    """What tells a task where it runs: ``CNFLOW_WORKER_RANK`` and so on, and each as ``PARSL_WORKER_...``, too.

    Args:
        rank: of the worker on its node, from 0.
        count: workers of the node.
        manager: whose worker it is; the reference calls that a pool.
        block: that the manager runs in.
    """
    values = {"RANK": str(rank), "COUNT": str(count), "POOL_ID": manager.hex(), "BLOCK_ID": block}
    return {f"{prefix}_WORKER_{name}": value for prefix in ("CNFLOW", "PARSL") for name, value in values.items()}


def cores_given(environment: Mapping[str, str]) -> Optional[float]:
    """Cores that the provider says this node has for us; None: it does not say."""
    given = environment.get("CNFLOW_CORES") or environment.get("PARSL_CORES")
    return float(given) if given else None


def memory_given(environment: Mapping[str, str]) -> Optional[float]:
    """Bytes of memory that the provider says this node has for us; None: it does not say."""
    if environment.get("CNFLOW_MEMORY"):
        return float(environment["CNFLOW_MEMORY"])
    gibibytes = environment.get("PARSL_MEMORY_GB")
    return float(gibibytes) * _GIB if gibibytes else None

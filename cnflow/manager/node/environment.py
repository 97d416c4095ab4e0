"""Environment variables of managers and tasks: cnflow's own, and the same under Parsl's names. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from cnflow.units import GIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import ManagerId, WorkerRank


def worker_variables(rank: WorkerRank, count: int, manager: ManagerId, block: str) -> dict[str, str]:
    """Variables by which a task finds its place: ``CNFLOW_WORKER_RANK`` and so on, each also as ``PARSL_WORKER_...``.

    Args:
        rank: of the worker on its node, from 0.
        count: number of workers of the node.
        manager: of the worker; Parsl calls it a pool.
        block: in which the manager runs.
    """
    values = {"RANK": str(rank), "COUNT": str(count), "POOL_ID": manager.hex(), "BLOCK_ID": block}
    return {f"{prefix}_WORKER_{name}": value for prefix in ("CNFLOW", "PARSL") for name, value in values.items()}


def cores_from(environment: Mapping[str, str]) -> Optional[float]:
    """Cores that the provider grants the manager on this node; None if it sets no variable."""
    value = environment.get("CNFLOW_CORES") or environment.get("PARSL_CORES")
    return float(value) if value else None


def memory_from(environment: Mapping[str, str]) -> Optional[float]:
    """Bytes of memory that the provider grants the manager on this node; None if it sets no variable."""
    if environment.get("CNFLOW_MEMORY"):
        return float(environment["CNFLOW_MEMORY"])
    gibibytes = environment.get("PARSL_MEMORY_GB")
    return float(gibibytes) * GIB if gibibytes else None

"""Assigns cores and accelerators to the workers of a node. No I/O.

The choices of ``cpu_affinity`` and the environment variables are those of Parsl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.manager.errors import ManagerStartError
from cnflow.tasks.core_lists import parse_core_list

if TYPE_CHECKING:
    from collections.abc import Sequence


class PinningError(ManagerStartError):
    """The node has too few cores for the settings, or others than the user lists."""


def assign_cores(affinity: str, workers: int, cores: Sequence[int]) -> list[list[int]]:
    """Return the cores of each worker, by rank; an empty list leaves all workers unrestricted.

    Args:
        affinity: as the user wrote it.
        workers: number of them on the node.
        cores: that the manager may use, in ascending order.

    Raises:
        PinningError: there are more workers than cores, or the user's list does not fit this node.
    """
    if affinity == "none":
        return []
    listed = parse_core_list(affinity)
    if listed:
        return _check_list(affinity, listed, workers, cores)
    each = len(cores) // workers
    if not each:
        raise PinningError(
            f"cpu_affinity={affinity!r} needs a core for each worker, but the node has {workers} workers on "
            f"{len(cores)} cores. Set max_workers={len(cores)} or fewer, or cores_per_worker=1 or more"
        )
    if affinity == "alternating":
        return [list(cores[rank::workers]) for rank in range(workers)]
    blocks = [list(cores[each * rank : each * (rank + 1)]) for rank in range(workers)]
    return blocks[::-1] if affinity == "block-reverse" else blocks


def _check_list(affinity: str, listed: list[list[int]], workers: int, cores: Sequence[int]) -> list[list[int]]:
    if len(listed) != workers:
        raise PinningError(
            f"cpu_affinity={affinity!r} lists the cores of {len(listed)} workers, and the node has {workers}. "
            f"Set max_workers={len(listed)}, or list the cores of {workers} workers"
        )
    unknown = sorted({core for each in listed for core in each}.difference(cores))
    if unknown:
        raise PinningError(
            f"cpu_affinity={affinity!r} lists cores that the manager may not use: {_comma_list(unknown)}. "
            f"It may use {_comma_list(cores)}"
        )
    return listed


def _comma_list(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))


def core_variables(cores: Sequence[int]) -> dict[str, str]:
    """Variables that bind OpenMP of GCC and of Intel to *cores*; none if *cores* is empty."""
    if not cores:
        return {}
    listed = ",".join(map(str, cores))
    return {
        "OMP_NUM_THREADS": str(len(cores)),
        "GOMP_CPU_AFFINITY": listed,
        "KMP_AFFINITY": f"explicit,proclist=[{listed}]",
    }


def accelerator_variables(
    shown: Sequence[int], names: Sequence[str], workers: int, cuda_devices: int
) -> dict[str, str]:
    """Variables that show a worker its accelerators and no others; none on a node without accelerators.

    A name is a device, or several separated by commas. If the names are numbers beyond the CUDA devices of the node,
    neighbouring workers share a device: with the names 0 to 3 on 2 devices, two workers get each (for CUDA's MPS).

    Args:
        shown: numbers of the accelerators that the worker sees, usually its rank alone.
        names: of the accelerators of the node, by number.
        workers: number of them on the node, not more than *names*.
        cuda_devices: number of them on the node; 0 if there are none or it is not known.
    """
    if not names:
        return {}
    several = dict.fromkeys(names[each] for each in shown)
    name = ",".join(several)
    own = names if any(each >= workers for each in shown) else names[:workers]
    return {
        "CUDA_VISIBLE_DEVICES": ",".join(dict.fromkeys(_cuda_device(each, own, cuda_devices) for each in several)),
        "ROCR_VISIBLE_DEVICES": name,
        "ZE_AFFINITY_MASK": name,
        "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1",
    }


def _cuda_device(name: str, names: Sequence[str], devices: int) -> str:
    count = 1 + max([int(each) for each in names if each.isdecimal()], default=-1)
    if not name.isdecimal() or not devices or count <= devices:
        return name
    return str(int(name) * devices // count)

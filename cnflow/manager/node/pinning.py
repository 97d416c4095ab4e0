"""Which cores and which accelerator each worker of a node keeps to; pure.

The choices, and what is put into the environment, are those of the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.manager.errors import CannotBeginError
from cnflow.tasks.core_lists import listed_cores

if TYPE_CHECKING:
    from collections.abc import Sequence


class PinningError(CannotBeginError):
    """The node cannot give its workers what the settings ask for."""


def cores_of_each(affinity: str, workers: int, cores: Sequence[int]) -> list[list[int]]:
    """Cores that each of *workers* keeps to, by rank; empty when none is to be kept to any.

    Args:
        affinity: as the user wrote it.
        workers: of the node.
        cores: that the node gives us, in order.

    Raises:
        PinningError: there are more workers than cores, or the list is not one of this node.
    """
    if affinity == "none":
        return []
    listed = listed_cores(affinity)
    if listed:
        return _checked(affinity, listed, workers, cores)
    each = len(cores) // workers
    if not each:
        raise PinningError(
            f"cpu_affinity={affinity!r} gives each worker cores of its own, and there are {workers} workers on "
            f"{len(cores)} cores. Set max_workers={len(cores)} or fewer, or cores_per_worker=1 or more"
        )
    if affinity == "alternating":
        return [list(cores[rank::workers]) for rank in range(workers)]
    blocks = [list(cores[each * rank : each * (rank + 1)]) for rank in range(workers)]
    return blocks[::-1] if affinity == "block-reverse" else blocks


def _checked(affinity: str, listed: list[list[int]], workers: int, cores: Sequence[int]) -> list[list[int]]:
    if len(listed) != workers:
        raise PinningError(
            f"cpu_affinity={affinity!r} lists the cores of {len(listed)} workers, and the node has {workers}. "
            f"Set max_workers={len(listed)}, or list as many as there are workers"
        )
    unknown = sorted({core for each in listed for core in each}.difference(cores))
    if unknown:
        raise PinningError(
            f"cpu_affinity={affinity!r} names cores that the manager may not use: {_told(unknown)}. "
            f"It has {_told(cores)}"
        )
    return listed


def _told(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))


def core_variables(cores: Sequence[int]) -> dict[str, str]:
    """What tells OpenMP of GCC and of Intel to keep to *cores*; nothing when there are none to keep to."""
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
    """What shows a worker its accelerators and no other; nothing when the node has none.

    A name is a device, or several with commas between. Where the names count further than the CUDA devices of the node
    do, workers share these, neighbours together: with the names 0 to 3 on 2 devices, two get each (for CUDA's MPS).

    Args:
        shown: numbers of those that it is to see, usually its rank alone.
        names: of the accelerators of the node.
        workers: of the node, not more than names.
        cuda_devices: of the node; 0 if it has none, or nobody knows.
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

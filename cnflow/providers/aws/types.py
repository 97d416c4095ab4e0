"""Types of machines that fit: by the user's list, or the cheapest that have the cores, memory and GPUs. No I/O.

::

    DescribeInstanceTypes ──type_of──> [InstanceType, ...] + prices ──cheapest──> those that fit, cheapest first
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Families of today with a good price; older ones are had by instance_types=[...].
# https://aws.amazon.com/ec2/instance-types/
_GENERAL = ("t3", "t3a", "c5", "c5a", "c6a", "c6i", "c7a", "c7i", "m5", "m5a", "m6a", "m6i", "m7a", "m7i", "r5", "r5a")
_LARGE_MEMORY = ("r6a", "r6i", "r7a", "r7i", "x2idn", "x2iedn")
_ARM = ("t4g", "c6g", "c7g", "c8g", "m6g", "m7g", "m8g", "r6g", "r7g", "r8g")
_GPUS = {"x86_64": ("g4dn", "g5", "g6", "g6e", "p3", "p4d", "p4de", "p5"), "arm64": ("g5g",)}
_ALL = {"x86_64": (*_GENERAL, *_LARGE_MEMORY), "arm64": _ARM}
_OFFERED = 8
"""Types that are tried at most where the user names none: each is tried in every zone."""

LEAST_MEMORY = 2 * GIB
"""Of a machine of no wish: below it the system leaves nothing to tasks."""

_MIB = 2**20
_ARM_NAME = re.compile(r"(a1|[a-z]+\d+g[a-z]*)\.")


class InstanceType(NamedTuple):
    """A type of machines."""

    name: str
    cores: int
    memory: int
    """Bytes."""

    gpus: int = 0
    architectures: tuple[str, ...] = ("x86_64",)
    is_spot_offered: bool = True


class Needs(NamedTuple):
    """Least size of a machine."""

    cores: int = 1
    memory: int = LEAST_MEMORY
    gpus: int = 0
    architecture: str = "x86_64"


def type_of(described: Mapping[str, Any]) -> InstanceType:
    """Return the type that EC2 describes."""
    gpus = (described.get("GpuInfo") or {}).get("Gpus") or ()
    return InstanceType(
        name=described["InstanceType"],
        cores=(described.get("VCpuInfo") or {}).get("DefaultVCpus", 0),
        memory=(described.get("MemoryInfo") or {}).get("SizeInMiB", 0) * _MIB,
        gpus=sum(gpu.get("Count", 0) for gpu in gpus),
        architectures=tuple((described.get("ProcessorInfo") or {}).get("SupportedArchitectures") or ()),
        is_spot_offered="spot" in (described.get("SupportedUsageClasses") or ("spot",)),
    )


def patterns(needs: Needs) -> list[str]:
    """Return the patterns of names, such as ``m6i.*``, of the types that are looked through."""
    families = _GPUS if needs.gpus else _ALL
    return [f"{family}.*" for family in families.get(needs.architecture, ())]


def fits(one: InstanceType, needs: Needs) -> bool:
    """Return whether *one* has what a machine needs."""
    return (
        one.cores >= needs.cores
        and one.memory >= needs.memory
        and one.gpus >= needs.gpus
        and needs.architecture in one.architectures
    )


def cheapest(
    types: Iterable[InstanceType], needs: Needs, price_of: Callable[[str], float | None]
) -> list[InstanceType]:
    """Return those that fit, cheapest first; those of unknown price last, smallest first.

    Args:
        types: all that there are.
        needs: of a machine.
        price_of: dollars per hour of a type; None if unknown.
    """

    def order(one: InstanceType) -> tuple[float, int, int, int, str]:
        price = price_of(one.name)
        return (float("inf") if price is None else price, one.gpus, one.cores, one.memory, one.name)

    return sorted((one for one in types if fits(one, needs)), key=order)[:_OFFERED]


def architecture_of(instance_type: str) -> str:
    """Return the architecture of the type of that name: ARM's have a ``g`` behind their generation, as ``m7g.large``.

    https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
    """
    return "arm64" if _ARM_NAME.match(instance_type) else "x86_64"

"""Choice of flavors, which are OpenStack's types of machines. No I/O.

::

    flavors ──> those of instance_types, in that order        x zones, in their order ──> placements
            └─> or those with cores, memory and gpus: the smallest, and others up to twice its size
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import BlockRejectedError
from cnflow.model.machine import Placement, Rate
from cnflow.text import did_you_mean, elide_middle
from cnflow.units import bytes_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.config.openstack import OpenStackProvider

MEBI = 1024 * 1024
_LEAST_MEMORY = 1024
"""MiB of a machine for which no memory is asked: a system, a manager, and a worker."""

_GPU_RESOURCE = re.compile(r"resources\d*:(VGPU|PGPU|CUSTOM_\w*GPU\w*)")


class Flavor(NamedTuple):
    """A type of machine."""

    id: str
    name: str
    cores: int
    memory: int
    """MiB."""

    disk: int
    """GiB; 0 is for machines that boot from a volume."""

    gpus: int = 0

    @property
    def size(self) -> tuple[int, int, int, int]:
        """Sort key: the cheapest first, as far as sizes tell."""
        return self.gpus, self.cores, self.memory, self.disk


class Need(NamedTuple):
    """Least size of a machine."""

    cores: int = 1
    memory: int = _LEAST_MEMORY
    disk: int = 0
    gpus: int = 0
    has_volume: bool = False
    """The first disk is a volume."""


def flavor_of(answer: Mapping[str, Any]) -> Flavor:
    """Return the flavor that nova describes."""
    gpus = gpus_in(answer.get("extra_specs") or {})
    return Flavor(
        str(answer["id"]), str(answer["name"]), int(answer["vcpus"]), int(answer["ram"]), int(answer["disk"]), gpus
    )


def gpus_in(specs: Mapping[str, str]) -> int:
    """Return the number of GPUs in the extra specs of a flavor; 0 where the cloud shows none to its users.

    https://docs.openstack.org/nova/latest/configuration/extra-specs.html
    """
    passed = re.findall(r":(\d+)", specs.get("pci_passthrough:alias", ""))  # such as "a100:2"; other devices are rare
    virtual = [value for name, value in specs.items() if _GPU_RESOURCE.fullmatch(name) and value.isdigit()]
    return sum(int(count) for count in (*passed, *virtual))


def need_of(settings: OpenStackProvider, image: Mapping[str, Any], *, for_interchange: bool) -> Need:
    """Return what a machine with *image*, as Glance describes it, has at least."""
    least = max(_LEAST_MEMORY, int(image.get("min_ram") or 0))
    disk, has_volume = int(image.get("min_disk") or 0), settings.disk_size is not None
    if for_interchange:
        return Need(1, least, disk, 0, has_volume)
    wanted = 0 if settings.memory is None else math.ceil(bytes_in(settings.memory) / MEBI)
    return Need(settings.cores or 1, max(least, wanted), disk, settings.gpus, has_volume)


def placements_of(
    flavors: Iterable[Flavor], types: Sequence[str], need: Need, settings: OpenStackProvider
) -> list[Placement]:
    """Return the ways to have a machine, in order of preference.

    Args:
        flavors: all of the project.
        types: names or ids of those that are wanted; empty takes the smallest that have what is needed.
        need: least size of those that are chosen by size.
        settings: zones and price.

    Raises:
        BlockRejectedError: there is none.
    """
    known = sorted(flavors, key=lambda flavor: flavor.size)
    chosen = _named(known, types) if types else _smallest(known, need)
    zones = settings.zones or [""]
    return [
        Placement(flavor.name, zone, rate=Rate(settings.price_per_hour, float(flavor.cores), float(flavor.gpus)))
        for flavor in chosen
        for zone in zones
    ]


def _named(known: Sequence[Flavor], types: Sequence[str]) -> list[Flavor]:
    chosen = []
    for wanted in types:
        found = next((flavor for flavor in known if wanted in {flavor.name, flavor.id}), None)
        if found is None:
            names = [flavor.name for flavor in known]
            raise BlockRejectedError(
                f"The project has no flavor {wanted!r}.{did_you_mean(wanted, names)} "
                f"It has: {', '.join(elide_middle(names, 10)) or 'none'}."
            )
        chosen.append(found)
    return chosen


def _smallest(known: Sequence[Flavor], need: Need) -> list[Flavor]:
    fitting = [flavor for flavor in known if _fits(flavor, need)]
    if not fitting:
        largest = known[-1] if known else None
        has = (
            f"the largest, {largest.name}, has {largest.cores} cores, {largest.memory} MiB and {largest.gpus} GPUs"
            if largest
            else "it has none"
        )
        raise BlockRejectedError(
            f"The project has no flavor with {need.cores} cores, {need.memory} MiB of memory, {need.disk} GiB of disk "
            f"and {need.gpus} GPUs: {has}. Ask for less by cores=, memory= and gpus=, or name flavors by "
            "instance_types=; by hand: openstack flavor list"
        )
    first = fitting[0]
    return [
        each
        for each in fitting
        if each.gpus == first.gpus and each.cores <= 2 * first.cores and each.memory <= 2 * first.memory
    ]


def _fits(flavor: Flavor, need: Need) -> bool:
    has_disk = need.has_volume or flavor.disk >= max(need.disk, 1)
    is_large = flavor.cores >= need.cores and flavor.memory >= need.memory and flavor.gpus >= need.gpus
    return has_disk and is_large

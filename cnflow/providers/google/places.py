"""Types and zones that a machine of Compute Engine may have, in order of preference; pure but for the price table.

::

    settings: types, or cores, memory, gpus ──> types ──┐
    zones of the settings, else of the region ──────────┴──> for spot, then not: for each type: each zone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.budget.prices import types_that_fit
from cnflow.errors import BlockRejectedError
from cnflow.model.machine import Placement
from cnflow.providers.google.requests import last_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.config.google_cloud import GoogleCloudProvider

_MOST_TYPES = 4
"""Types that are tried where the settings name none."""

_INTERCHANGE_TYPE = "e2-small"

# https://cloud.google.com/compute/docs/regions-zones: all other regions have the zones a, b and c
_LETTERS: Mapping[str, str] = {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd"}


def usual_zones(region: str) -> Sequence[str]:
    """Return the zones of *region*, as Compute Engine's documentation has them."""
    return tuple(f"{region}-{letter}" for letter in _LETTERS.get(region, "abc"))


def zones_up(zones: Iterable[Mapping[str, Any]], region: str) -> Sequence[str]:
    """Return the names of those of *zones*, as the API lists them, that are of *region* and work.

    Raises:
        BlockRejectedError: there is none.
    """
    here = [each for each in zones if last_part(each.get("region", "")) == region]
    found = sorted(each["name"] for each in here if each.get("status", "UP") == "UP")
    if not found:
        raise BlockRejectedError(f"Compute Engine has no zone in region={region!r}, or none that is up.")
    return tuple(found)


def placements_of(
    settings: GoogleCloudProvider, zones: Sequence[str], *, for_interchange: bool = False
) -> list[Placement]:
    """Return the placements in *zones*.

    Raises:
        BlockRejectedError: the settings name no type, and the price table has none that fits.
    """
    spots = [False]
    if for_interchange:
        types: Sequence[str] = [settings.interchange_type or _INTERCHANGE_TYPE]
    else:
        types = settings.instance_types or fitting_types(settings)
        if settings.spot:
            spots = [True, False] if settings.spot_fallback else [True]
    return [
        Placement(kind, zone, is_spot, settings.rate_of(kind, is_spot=is_spot))
        for is_spot in spots
        for kind in types
        for zone in zones
    ]


def fitting_types(settings: GoogleCloudProvider) -> Sequence[str]:
    """Return the cheapest types that have `cores`, `memory` and `gpus`, the cheapest first."""
    gpus = 0 if settings.accelerator_type else settings.gpus
    found = list(types_that_fit("gce", settings.region, settings.cores or 1, settings.memory, gpus))
    if settings.accelerator_type:
        found = [kind for kind in found if kind.startswith("n1-")]  # the only family to which GPUs are attached
    if not found:
        raise BlockRejectedError(
            f"The price table has no type of Compute Engine in {settings.region} with cores={settings.cores}, "
            f"memory={settings.memory}, gpus={settings.gpus}. Set instance_types=[...]."
        )
    return found[:_MOST_TYPES]

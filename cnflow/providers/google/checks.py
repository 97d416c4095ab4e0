"""Findings of `cnflow doctor` and `cnflow plan` on Compute Engine: nothing is started.

::

    credentials ──> project ──> image ──> types in zones ──> quotas of the region
        └ each that fails is a finding; those after the credentials need them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError
from cnflow.model.finding import Finding, Verdict
from cnflow.providers.google.errors import CallFailedError, error_for, is_absent
from cnflow.providers.google.images import find_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.config.google_cloud import GoogleCloudProvider
    from cnflow.model.machine import Placement
    from cnflow.providers.google.client import ComputeClient
    from cnflow.providers.google.cloud import GoogleCloud

# https://cloud.google.com/compute/resource-usage; other families have limits of their own
_QUOTA, _SPOT_QUOTA = "CPUS", "PREEMPTIBLE_CPUS"
_FAMILIES = ("a2", "c2", "c2d", "c3", "c3d", "m1", "n2", "n2d", "t2d")
_MOST_LOOKS = 4


def findings(cloud: GoogleCloud, settings: GoogleCloudProvider, client: ComputeClient) -> Sequence[Finding]:
    """Findings on credentials, image, types and quotas."""
    about = cloud.name
    try:
        found = [Finding(about, Verdict.GOOD, f"credentials for the project {client.project}")]
    except BlockError as error:
        return [Finding(about, Verdict.BAD, str(error))]
    checks: list[Callable[[], Finding]] = [
        lambda: _image(cloud, settings, client),
        lambda: _types(cloud, client),
        lambda: _quota(cloud, settings, client),
    ]
    for check in checks:
        try:
            found.append(check())
        except CallFailedError as error:
            found.append(Finding(about, Verdict.BAD, str(error_for(error.failure, "answer a check"))))
        except BlockError as error:
            found.append(Finding(about, Verdict.BAD, str(error)))
    return found


def _image(cloud: GoogleCloud, settings: GoogleCloudProvider, client: ComputeClient) -> Finding:
    image = find_image(client, settings)
    words = f"image {image['name']}" if image else "image of the instance template"
    return Finding(cloud.name, Verdict.GOOD, words)


def _types(cloud: GoogleCloud, client: ComputeClient) -> Finding:
    """See whether the types exist in their zones; a type whose zone has no room now exists."""
    placements = list({(each.instance_type, each.zone): each for each in cloud.placements()}.values())
    absent = [each for each in placements[:_MOST_LOOKS] if not _exists(client, each)]
    if absent:
        words = ", ".join(f"{each.instance_type} in {each.zone}" for each in absent)
        advice = "Zones with it: gcloud compute machine-types list --filter=name=TYPE"
        return Finding(cloud.name, Verdict.BAD, f"no such type: {words}", advice)
    first = placements[0]
    return Finding(cloud.name, Verdict.GOOD, f"{first.instance_type} in {', '.join(cloud.zones())}")


def _exists(client: ComputeClient, placement: Placement) -> bool:
    place = {"zone": placement.zone, "machine_type": placement.instance_type}
    try:
        client.call("look for a type", "MachineTypesClient", "get", project=client.project, **place)
    except CallFailedError as error:
        if is_absent(error.failure):
            return False
        raise
    return True


def _quota(cloud: GoogleCloud, settings: GoogleCloudProvider, client: ComputeClient) -> Finding:
    region = client.call("read quotas", "RegionsClient", "get", project=client.project, region=settings.region)
    placements = cloud.placements()
    name = quota_for(placements[0], region)
    limit = next((each for each in region.get("quotas", []) if each.get("metric") == name), None)
    if limit is None:
        return Finding(cloud.name, Verdict.GOOD, f"no quota {name} in {settings.region}")
    free = float(limit.get("limit", 0)) - float(limit.get("usage", 0))
    wanted = placements[0].rate.cores * settings.nodes_per_block * settings.max_blocks
    words = f"quota {name}: {free:g} of {float(limit.get('limit', 0)):g} are free"
    if wanted <= free:
        return Finding(cloud.name, Verdict.GOOD, words)
    advice = "Set max_blocks lower, or ask for a higher limit: https://console.cloud.google.com/iam-admin/quotas"
    return Finding(cloud.name, Verdict.BAD, f"{words}, and {wanted:g} are wanted", advice)


def quota_for(placement: Placement, region: Mapping[str, Any]) -> str:
    """Return the quota of *region* that limits machines like *placement*."""
    metrics = {each.get("metric") for each in region.get("quotas", [])}
    family = placement.instance_type.partition("-")[0]
    if placement.is_spot and _SPOT_QUOTA in metrics:
        return _SPOT_QUOTA
    own = f"{family.upper()}_CPUS"
    return own if family in _FAMILIES and own in metrics else _QUOTA

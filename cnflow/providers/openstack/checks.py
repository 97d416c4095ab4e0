"""Findings on an OpenStack cloud for `cnflow doctor` and `cnflow plan`: login, image, flavors, network, key, quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError, MissingExtraError
from cnflow.model.finding import Finding, Verdict
from cnflow.providers.openstack.cloud import OpenStackCloud
from cnflow.providers.openstack.errors import ApiError, meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.config.openstack import OpenStackProvider
    from cnflow.model.machine import Placement

ABOUT = "OpenStack"


def check_cloud(settings: OpenStackProvider) -> Sequence[Finding]:
    """Return what works of the cloud that *settings* name; one that does not answer is a finding, too."""
    cloud = OpenStackCloud(settings)
    try:
        client = cloud.client()
        client.login()
    except MissingExtraError:
        found = "not known: the package openstacksdk, the connection to a cloud, is not installed"
        return [Finding(ABOUT, Verdict.ABSENT, found, "Run: pip install 'cnflow[openstack]'")]
    except BlockError as error:
        return [_bad(ABOUT, error)]
    region = f" in {client.region}" if client.region else ""
    good = Finding(ABOUT, Verdict.GOOD, f"logged in by {client.source}{region}, project {client.project}")
    checks: list[tuple[str, Callable[[OpenStackCloud], str]]] = [
        ("image", _image),
        ("flavors", _flavors),
        ("networks", _networks),
        ("key pair", _key),
        ("quota", lambda cloud: _quota(cloud, settings)),
    ]
    try:
        return [good, *(_checked(f"{ABOUT}, {what}", check, cloud) for what, check in checks)]
    finally:
        cloud.close()


def room_in(limits: dict[str, Any], placement: Placement, memory: int, machines: int) -> str:
    """Return how many *machines* the quota has room for; pure.

    Args:
        limits: ``absolute`` of ``/limits``.
        placement: of each.
        memory: MiB of each.
        machines: number of them.

    Raises:
        BlockError: not for all.
    """
    wants = {"instances": (1.0, "maxTotalInstances", "totalInstancesUsed")}
    wants["cores"] = (placement.rate.cores, "maxTotalCores", "totalCoresUsed")
    wants["MiB of memory"] = (float(memory), "maxTotalRAMSize", "totalRAMUsed")
    words = []
    for what, (each, most, used) in wants.items():
        limit, taken = int(limits.get(most, -1)), int(limits.get(used, 0))
        if limit < 0:  # unlimited
            continue
        words.append(f"{taken} of {limit} {what} used")
        if limit - taken < each * machines:
            raise BlockError(
                f"{taken} of {limit} {what} are used, and max_blocks takes {each * machines:.0f} more "
                f"({machines} machines of {placement})"
            )
    return f"{', '.join(words) or 'no limits'}: room for {machines} machines of {placement}"


def _checked(about: str, check: Callable[[OpenStackCloud], str], cloud: OpenStackCloud) -> Finding:
    try:
        return Finding(about, Verdict.GOOD, check(cloud))
    except ApiError as error:
        return _bad(about, meaning_of(error, "The request is refused"))
    except BlockError as error:
        return _bad(about, error)


def _bad(about: str, error: Exception) -> Finding:
    found, _, advice = str(error).partition("\n")
    return Finding(about, Verdict.BAD, found, advice)


def _image(cloud: OpenStackCloud) -> str:
    image = cloud.image()
    return f"{image.get('name')} ({image['id']}, of {image.get('created_at')})"


def _flavors(cloud: OpenStackCloud) -> str:
    return "in this order: " + ", ".join(str(placement) for placement in cloud.placements())


def _networks(cloud: OpenStackCloud) -> str:
    return cloud.networks().described()


def _key(cloud: OpenStackCloud) -> str:
    name = cloud.settings.key_name
    if name is None:
        return "none asked for"
    try:
        cloud.client().request("compute", "GET", f"/os-keypairs/{name}")
    except ApiError as error:
        if not error.is_missing:
            raise
        raise BlockError(f"the user has no key pair {name!r}\nBy hand: openstack keypair list") from error
    return name


def _quota(cloud: OpenStackCloud, settings: OpenStackProvider) -> str:
    limits = cloud.client().request("compute", "GET", "/limits")["limits"]["absolute"]
    placement = cloud.placements()[0]
    memory = next(flavor.memory for flavor in cloud.flavors() if flavor.name == placement.instance_type)
    return room_in(limits, placement, memory, settings.max_blocks * settings.nodes_per_block)

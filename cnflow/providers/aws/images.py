"""Images of machines: finds the AMI that the settings name.

::

    image_id ── "ami-..." ──────────────────────────────┐
             ── "ssm:/path", family ──GetParameter──> id ├──DescribeImages──> AMI(id, architecture, root device)
             ── a name, with * ──────────────────────────┘   of several the newest that is available
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.config.ec2 import FAMILIES
from cnflow.errors import BlockRejectedError
from cnflow.providers.aws.requests import AMI

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.config.ec2 import EC2Provider
    from cnflow.providers.aws.client import AWS

_SSM = ("ssm:", "resolve:ssm:")


def parameter_of(image_id: str, architecture: str) -> str:
    """Return the parameter of SSM that *image_id* stands for; empty for an id or a name.

    Raises:
        BlockRejectedError: the family has no image for *architecture*.
    """
    for prefix in _SSM:
        if image_id.startswith(prefix):
            return image_id[len(prefix) :]
    if image_id not in FAMILIES:
        return ""
    family = FAMILIES[image_id]
    if architecture not in family:
        raise BlockRejectedError(
            f"The family of images {image_id!r} has none for {architecture}, which the types of machines have. Set "
            "instance_types of EC2Provider to types with another processor, or image_id."
        )
    return family[architecture]


def newest(images: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the newest available one of *images* as EC2 describes them; None if there is none."""
    available = [image for image in images if image.get("State", "available") == "available"]
    return max(available, key=lambda image: (image.get("CreationDate", ""), image["ImageId"]), default=None)


def ami_of(described: Mapping[str, Any]) -> AMI:
    """Return the image that EC2 describes."""
    root = described.get("RootDeviceName") or "/dev/xvda"
    disks = described.get("BlockDeviceMappings") or ()
    sizes = [(disk.get("Ebs") or {}).get("VolumeSize") or 0 for disk in disks if disk.get("DeviceName") == root]
    return AMI(
        id=described["ImageId"],
        name=described.get("Name", ""),
        architecture=described.get("Architecture") or "x86_64",
        root_device=root,
        root_size=int(sizes[0]) if sizes else 0,
    )


def find_image(aws: AWS, settings: EC2Provider, architecture: str) -> AMI:
    """Return the image that *settings* name.

    Args:
        aws: asked for it.
        settings: with `image_id`.
        architecture: of the machines, which chooses in a family.

    Raises:
        BlockRejectedError: there is none, or it is not for this account.
        BlockError: AWS does not answer.
    """
    wanted = settings.image_id
    if parameter := parameter_of(wanted, architecture):
        answer = aws.call("get_parameter", {"Name": parameter}, service="ssm")
        wanted = answer["Parameter"]["Value"].strip()
    if wanted.startswith("ami-"):
        found = aws.call("describe_images", {"ImageIds": [wanted]})["Images"]
    else:
        filters = [{"Name": "name", "Values": [wanted]}]
        found = aws.call("describe_images", {"Filters": filters, "Owners": settings.image_owners})["Images"]
    chosen = newest(found)
    if chosen is None:
        raise BlockRejectedError(
            f"{aws.where} has no image {settings.image_id!r} of {', '.join(settings.image_owners)} that is available. "
            "Images belong to one region. Check image_id and image_owners of EC2Provider."
        )
    return ami_of(chosen)

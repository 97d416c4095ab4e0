"""Settings of the provider of machines of EC2.

::

    EC2Provider(image_id="ubuntu-24.04", cores=8, memory="32g", spot=True)
          │
          ├── credentials, region: by the SDK's own chain (variables, ~/.aws, role of the machine), and `profile`
          ├── image_id ────> AMI: an id, a parameter of SSM, a family, or a name of which the newest is taken
          └── `cnflow.providers.aws.requests.instance_for(request, settings, found)` ──> arguments of RunInstances
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from cnflow.config.machines import MachineSettings
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self

OWN_ARGUMENTS = frozenset(
    {
        "ClientToken",
        "DryRun",
        "InstanceInitiatedShutdownBehavior",
        "MaxCount",
        "MinCount",
        "TagSpecifications",
        "UserData",
    }
)
"""Arguments of RunInstances that `EC2Provider.create` cannot have: cnflow recognises its machines by them, and they end
by them."""

_ARN = re.compile(r"arn:[^:]+:iam::\d*:instance-profile/\S+")


class EC2Provider(MachineSettings):
    """Blocks are machines of Amazon EC2 (``pip install 'cnflow[aws]'``): one for each node.

    Credentials are those of the AWS SDK: its variables, the files in ``~/.aws``, a login by ``aws sso login``, or the
    role of the machine on which the script runs.
    """

    backend: ClassVar[str] = "cnflow.providers.aws.provider:EC2Backend"
    extra: ClassVar[str] = "aws"
    packages: ClassVar[tuple[str, ...]] = ("boto3", "cryptography")
    notices: ClassVar[str] = "ec2"
    price_list: ClassVar[str] = "ec2"
    small_type: ClassVar[str] = "t3.small"
    kind: Literal["ec2"] = "ec2"

    region: str | None = None
    """Region, such as ``us-east-2``; None is that of the SDK: AWS_REGION, AWS_DEFAULT_REGION, or the profile's."""

    profile: str | None = None
    """Profile in ``~/.aws/config``; None is that of AWS_PROFILE, else the default one."""

    image_id: str = "amazon-linux-docker"
    """Image of the machines, an AMI: its id (``ami-...``); a family (``amazon-linux``, ``amazon-linux-docker``, which
    has Docker, ``amazon-linux-gpu``, which has drivers of NVIDIA too, ``ubuntu-22.04``, ``ubuntu-24.04``,
    ``debian-12``), whose newest is taken; a public or own parameter (``ssm:/aws/service/...``); or a name, which may
    have ``*``: the newest image of that name."""

    image_owners: list[str] = Field(default_factory=lambda: ["self", "amazon"])
    """Accounts whose images are looked through for a name: ids, ``self``, ``amazon``, ``aws-marketplace``."""

    key_name: str | None = None
    """Key pair of the account for logins of yours; cnflow itself needs none."""

    subnets: list[str] = Field(default_factory=list)
    """Ids of subnets, tried in turn where one has no capacity; empty takes those of the account's default network."""

    security_groups: list[str] = Field(default_factory=list)
    """Ids or names of security groups, whose members must reach each other, and port 22 of which must be open to this
    machine if an interchange runs in the cloud. Empty takes the network's default group, and for the machine of the
    interchange one more that cnflow makes, with port 22."""

    ssh_from: list[str] = Field(default_factory=lambda: ["0.0.0.0/0"])
    """Networks that reach port 22 of the interchange's machine, in groups that cnflow makes. Only keys are let in."""

    public_addresses: bool | None = None
    """Give the machines of blocks public addresses; None leaves it to their subnet. Without one, or a NAT gateway in
    their network, they cannot pull images."""

    instance_profile: str | None = None
    """Instance profile, a name or an ARN: the role that tasks have on the machines, such as for files in S3."""

    launch_template: str | None = None
    """Launch template, a name or ``lt-...`` id, with ``:VERSION`` if not the default one; what these settings set goes
    before it."""

    spot_max_price: Annotated[float, Field(gt=0)] | None = None
    """Dollars per hour beyond which spot machines are not wanted; None is the price of machines that are not spot."""

    disk_type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1"] = "gp3"
    """Kind of the first disk, where `disk_size` is set."""

    create: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of RunInstances, passed through as they are, e.g. ``{"EbsOptimized": True}``."""

    @field_validator("create")
    @classmethod
    def _create_leaves_own_arguments(cls, value: dict[str, Any]) -> dict[str, Any]:
        if own := sorted(OWN_ARGUMENTS & value.keys()):
            raise ValueError(f"{', '.join(own)} is set by cnflow; use the options tags and user_data of EC2Provider")
        return value

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        for zone in self.zones:
            if self.region and not zone.startswith(self.region):
                raise ValueError(f"the zone {zone!r} is not in region={self.region!r}")
        if self.spot_max_price is not None and not self.spot:
            raise ValueError(f"spot_max_price={self.spot_max_price:g} needs spot=True")
        return self

    @field_validator("instance_profile")
    @classmethod
    def _profile_is_no_role(cls, value: str | None) -> str | None:
        if value and value.startswith("arn:") and not _ARN.fullmatch(value):
            raise ValueError(f"{value!r} is no ARN of an instance profile, arn:aws:iam::ACCOUNT:instance-profile/NAME")
        return value

    @field_validator("subnets")
    @classmethod
    def _subnets_are_ids(cls, value: list[str]) -> list[str]:
        if wrong := [one for one in value if not one.startswith("subnet-")]:
            raise ValueError(f"{wrong[0]!r} is no id of a subnet, subnet-...; for a zone use zones=[...]")
        return value

    @field_validator("image_id")
    @classmethod
    def _family_is_known(cls, value: str) -> str:
        looks_like_one = re.fullmatch(r"[a-z]+(-[a-z0-9.]+)*", value) and not value.startswith(("ami-", "ssm:"))
        if looks_like_one and value not in FAMILIES and (nearest := did_you_mean(value, FAMILIES)):
            raise ValueError(f"no family of images is called {value!r}.{nearest} Known: {', '.join(sorted(FAMILIES))}")
        return value


_SSM = "/aws/service"

# Public parameters of AWS, Canonical and Debian; {arch} is x86_64 or arm64, {deb} amd64 or arm64.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-ami.html
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html
# https://documentation.ubuntu.com/aws/en/latest/aws-how-to/instances/find-ubuntu-images/
# https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm
FAMILIES: dict[str, dict[str, str]] = {
    "amazon-linux": {
        "x86_64": f"{_SSM}/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        "arm64": f"{_SSM}/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
    },
    "amazon-linux-docker": {
        "x86_64": f"{_SSM}/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
        "arm64": f"{_SSM}/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id",
    },
    "amazon-linux-gpu": {
        "x86_64": f"{_SSM}/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id",
    },
    "debian-12": {
        "x86_64": f"{_SSM}/debian/release/12/latest/amd64",
        "arm64": f"{_SSM}/debian/release/12/latest/arm64",
    },
    "ubuntu-22.04": {
        "x86_64": f"{_SSM}/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "arm64": f"{_SSM}/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id",
    },
    "ubuntu-24.04": {
        "x86_64": f"{_SSM}/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        "arm64": f"{_SSM}/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
    },
}
"""Family -> architecture -> parameter of SSM that has the id of the newest image."""

"""Parsl's provider for EC2: with Parsl's parameters, their order and their defaults.

::

    AWSProvider("ami-1", "my-key", instance_type="c5.large", spot_max_bid=0.1)
        │  translate
        ▼
    image_id="ami-1", key_name="my-key", instance_types=["c5.large"], spot=True, spot_max_price=0.1, create_network=True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.launchers import check_launcher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import ec2
from cnflow.errors import NotCoveredError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class AWSProvider(ParslSettings, ec2.EC2Provider):
    """`cnflow.config.EC2Provider` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "image_id",
        "key_name",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "nodes_per_block",
        "parallelism",
        "worker_init",
        "instance_type",
        "region",
        "spot_max_bid",
        "key_file",
        "profile",
        "iam_instance_profile_arn",
        "state_file",
        "walltime",
        "linger",
        "launcher",
    )
    RENAMED: ClassVar[Mapping[str, str]] = {"iam_instance_profile_arn": "instance_profile"}
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("state_file",)  # machines and networks are found by their tags
    NOT_YET: ClassVar[Mapping[str, tuple[Any, ...]]] = {"linger": (False, None)}
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "init_blocks": 1,
        "max_blocks": 10,
        "instance_type": "t2.small",
        "region": "us-east-2",
        "walltime": "01:00:00",
        "create_network": True,
    }
    """Parsl's defaults where cnflow has others; it always makes a network."""

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate Parsl's parameters; ``max_blocks`` is at least ``init_blocks``, as in Parsl's effect."""
        set_by_user = {name: value for name, value in given.items() if value is not None}
        translated = super().translate({**cls.DEFAULTS, **set_by_user})
        if translated.pop("key_file", None):
            raise NotCoveredError(
                "AWSProvider(key_file=...)",
                "cnflow takes credentials by the SDK's own chain alone: put them into ~/.aws/credentials, and name "
                "their profile",
            )
        check_launcher(translated.pop("launcher", None))
        translated.setdefault("instance_types", [translated.pop("instance_type")])
        translated.pop("instance_type", None)
        if bid := translated.pop("spot_max_bid", 0):
            translated |= {"spot": True, "spot_max_price": bid, "spot_fallback": False}
        if not translated.get("instance_profile"):
            translated.pop("instance_profile", None)
        if translated.get("subnets"):
            translated["create_network"] = given.get("create_network", False)
        most, first = translated["max_blocks"], translated["init_blocks"]
        if isinstance(most, int) and isinstance(first, int):
            translated["max_blocks"] = max(most, first)
        return translated

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "ec2"

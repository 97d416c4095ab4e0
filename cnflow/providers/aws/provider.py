"""Provider of machines of EC2: that of all clouds, over `cnflow.providers.aws.cloud.EC2Cloud`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.errors import MissingExtraError
from cnflow.providers._shared.machines.backend import MachineBackend

if TYPE_CHECKING:
    from cnflow.config.ec2 import EC2Provider
    from cnflow.interfaces.cloud import Cloud


class EC2Backend(MachineBackend):
    """Starts machines of EC2; *options* are those of `MachineBackend`."""

    def __init__(self, settings: EC2Provider, **options: Any) -> None:  # noqa: ANN401 - as of the base class
        super().__init__(settings, _cloud, **options)


def _cloud(settings: EC2Provider) -> Cloud:
    with MissingExtraError.for_import("EC2Provider (kind 'ec2')", "aws"):
        from cnflow.providers.aws.cloud import EC2Cloud  # noqa: PLC0415 - imports the SDK, an extra
    return EC2Cloud(settings)

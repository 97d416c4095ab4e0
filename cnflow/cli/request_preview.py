"""What a configuration would send outside, without sending it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.capsule import Probe
from cnflow.config import Config, DockerProvider, ExecutorSettings, HighThroughputExecutor
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers.docker import create_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

# Stand for what only a run knows.
RUN = RunId("RUN")
IMAGE = "IMAGE"
_UNSEEN = Probe(version="", implementation="", machine="", libc="", executable="")


def requests_of(config: Config) -> Mapping[str, dict[str, Any] | None]:
    """By executor's label, the arguments of ``docker create`` for its first block; None where it sends nothing.

    ``RUN`` and ``IMAGE`` stand for the run's id and, in a template, for the image of the app that it is used for.

    Raises:
        ConfigurationError: a provider's options contradict each other.
    """
    return {executor.label: _request_of(executor) for executor in config.executors}


def _request_of(executor: ExecutorSettings) -> dict[str, Any] | None:
    if not isinstance(executor, HighThroughputExecutor) or not isinstance(executor.provider, DockerProvider):
        return None
    block, image = BlockId("0"), executor.image or IMAGE
    manager = ManagerSettings(hosts=(), endpoint="", executor=executor.label, block=block, image=image)
    request = BlockRequest(RUN, executor.label, block, image, manager, log_file=Path())
    return create_arguments(request, executor.provider, _UNSEEN)

"""Previews of what a configuration would send to other systems, without sending it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.config import HighThroughputExecutor
from cnflow.config.registry import backend_of
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config import Config, ExecutorSettings
    from cnflow.interfaces import Provider

# Placeholders for values that only a run has.
RUN = RunId("RUN")
IMAGE = "IMAGE"


def preview_requests(config: Config) -> Mapping[str, Mapping[str, object] | None]:
    """Return, by executor's label, what its provider would send for the first block; None if it sends nothing.

    ``RUN`` and ``IMAGE`` stand for the run's id and, in a template, for the image of the app that it is used for.

    Raises:
        ConfigurationError: a provider's options contradict each other.
    """
    return {executor.label: preview_of(executor) for executor in config.executors}


def preview_of(executor: ExecutorSettings) -> Mapping[str, object] | None:
    """Return what the provider of *executor* would send for the first block; None if it sends nothing."""
    if not isinstance(executor, HighThroughputExecutor):
        return None
    settings = executor.provider
    image = executor.image or Image(IMAGE if executor.needs_image else "")
    block = BlockId("0")
    manager = ManagerSettings(hosts=(), endpoint="", executor=executor.label, block=block, image=str(image))
    request = BlockRequest(
        RUN,
        executor.label,
        block,
        image,
        manager,
        log_file=Path(),
        nodes=settings.nodes_per_block,
        walltime=settings.walltime,
    )
    provider: Provider = backend_of(settings, needs_packages=False)(settings)
    try:
        return provider.preview(request) or None
    finally:
        provider.close()

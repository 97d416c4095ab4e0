"""Joins the parts of a high-throughput executor; named by its settings, called by the composition root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks import Scaling
from cnflow.config.registry import backend_of
from cnflow.executors.high_throughput.executor import HighThroughputBackend

if TYPE_CHECKING:
    from cnflow.config import HighThroughputExecutor
    from cnflow.interfaces import Provider, RunContext


def make_backend(settings: HighThroughputExecutor, run: RunContext) -> HighThroughputBackend:
    """The live executor of *settings*, not started.

    Raises:
        MissingExtraError: the packages of its provider are not installed.
        ConfigurationError: the provider's settings name no live half.
    """
    provider_backend = backend_of(settings.provider)

    def make_provider() -> Provider:
        made: Provider = provider_backend(settings.provider)
        return made

    return HighThroughputBackend(settings, make_provider, run.run, run.run_dir, Scaling(run.strategy, run.max_idletime))

"""Joins the parts of a high-throughput executor; named by its settings, called by the composition root.

::

    serializer ──> queue ──> client ──> managers ──> provisioner ──> introspection ──> HighThroughputBackend

Each part gets those before it. Events go the other way: by `start`, an executor hands itself to its parts.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from cnflow.clock import SystemClock
from cnflow.config.registry import backend_of
from cnflow.executors.high_throughput.executor import HighThroughputBackend
from cnflow.executors.high_throughput.interchange_client import InterchangeClient
from cnflow.executors.high_throughput.introspection import Introspection
from cnflow.executors.high_throughput.managers import ConnectedManagers
from cnflow.executors.high_throughput.provisioning import BlockProvisioner
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.executors.high_throughput.task_queue import TaskQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config import HighThroughputExecutor
    from cnflow.interfaces import Provider, RunContext


def make_backend(
    settings: HighThroughputExecutor, run: RunContext, make_provider: Callable[[], Provider] | None = None
) -> HighThroughputBackend:
    """Make the executor of *settings*, not started.

    Args:
        settings: what the user wrote.
        run: of which it is a part.
        make_provider: called in a thread of the executor; None makes the live half of ``settings.provider``.

    Raises:
        MissingExtraError: the packages of its provider are not installed.
        ConfigurationError: the provider's settings name no live half.
    """
    log_file = run.run_dir / settings.label / "interchange.log"
    serializer = TaskSerializer()
    client = InterchangeClient(settings.label, log_file, TaskQueue(serializer), SystemClock())
    managers = ConnectedManagers(client.ask)
    make_provider = make_provider or functools.partial(backend_of(settings.provider), settings.provider)
    provisioner = BlockProvisioner(settings, make_provider, run, client, managers)
    introspection = Introspection(settings, client, managers, provisioner)
    return HighThroughputBackend(settings, serializer, client, managers, provisioner, introspection)

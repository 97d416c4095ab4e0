"""What makes executors live while the run goes on; given by `cnflow.assemble`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config import ExecutorSettings
    from cnflow.dataflow.router import RoutableExecutor
    from cnflow.interfaces import Executor


class ExecutorFactory(NamedTuple):
    """The ways to one more executor."""

    joiner: Callable[[], Executor]
    """Makes the executor for the functions of join apps, when the first is called."""

    add: Callable[[ExecutorSettings], RoutableExecutor]
    """Makes the executor of these settings and hands it to the kernel, unless it is but a template for images."""

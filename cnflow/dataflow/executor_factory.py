"""Seam between the task graph and `cnflow.assemble`: makes executors while a run goes on.

::

    user ── dfk.add_executors ──> graph ── make(settings) ──> factory
    router ── image without executor ──> graph ── clone(...) ──> factory
    first call of a join app ──> graph ── make_joiner() ──> factory
                                   │
                                   └── starts what the factory returns
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from cnflow.config import ExecutorSettings
    from cnflow.dataflow.router import RoutableExecutor
    from cnflow.interfaces import Executor
    from cnflow.model.image import Image


class NewExecutor(NamedTuple):
    """An executor with its description for the router."""

    route: RoutableExecutor
    executor: Executor | None
    """Not started yet. None for one that only serves as the template of executors for images."""


class ExecutorFactory(Protocol):
    """Makes executors; starts none of them."""

    def make(self, settings: ExecutorSettings) -> NewExecutor:
        """Make the executor of a copy of *settings*.

        Raises:
            ConfigurationError: *settings* cannot work on this machine.
        """

    def clone(self, template: str, image: Image, label: str, *, fresh: bool = False) -> Executor:
        """Make an executor labelled *label* that runs *image*, otherwise with the settings of the one of *template*.

        With *fresh* it runs each task in a block of its own.

        Raises:
            ConfigurationError: that one cannot.
        """

    def make_joiner(self) -> Executor:
        """Make the executor for the functions of join apps."""

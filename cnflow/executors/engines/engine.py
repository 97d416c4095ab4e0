"""Seam between `EngineExecutor` and a foreign engine.

::

    start(on_ends) ──> may connect meanwhile ──submit([call])──> the engine ──> on_ends([(task, Reply or error)])
                                                  └── cancel ──────┴── close ───────┘   exactly once for each call

An engine moves calls and replies, which are plain tuples (`cnflow.tasks.engine_calls`), and knows nothing of apps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from cnflow.ids import TaskId
    from cnflow.model.resources import Resources

End = tuple["TaskId", tuple[Any, ...] | BaseException]
"""A task with the `Reply` to its call, or with the error of the engine: one of cnflow, which says what to do."""

OnEnds = Callable[[Sequence[End]], None]
"""Called from any thread; returns soon, and never raises."""


class EngineCall(NamedTuple):
    """One task for an engine."""

    task: TaskId
    title: str
    function: tuple[Any, ...]
    call: tuple[Any, ...]
    size: int
    """Bytes of both, about."""

    resources: Resources | None


class Engine(Protocol):
    """A foreign system that runs calls. Safe from any thread; waits for the network in `close` alone."""

    def start(self, on_ends: OnEnds) -> None:
        """Begin; a failure to reach the engine is the end of each call."""

    def refusal(self, resources: Resources) -> str:
        """Sentence on what of *resources* it cannot give a task; empty if it can."""

    def submit(self, calls: Sequence[EngineCall]) -> None:
        """Take *calls* over."""

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Drop *tasks* that wait; stop those that run if the engine can, else let them end."""

    def workers(self) -> int:
        """Number of workers at this moment; 0 before there is a connection."""

    def close(self) -> None:
        """End what the engine's adapter has started; return after the last call of `on_ends`. Can be called twice."""

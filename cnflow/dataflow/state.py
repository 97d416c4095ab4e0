"""Every decision about tasks.

Rule 1: what is decided is decided here; `kernel` only holds values and calls executors.
Rule 2: nothing here waits, reads a clock, logs, or knows a future, a function or an argument.

The life of a task::

    submitted ──> WAITING ──last dependency done──> LAUNCHED ──> DONE
                     │                              ^   │
                     │                              └───┤ failed, budget left; or lost with its manager
                     ├──a dependency failed──> DEPENDENCY_FAILED
                     │                                  ├──> FAILED
                     └──cancelled──> CANCELLED <────────┘

An event is a method call; what is to be done comes back. Work is O(1) for each task and each edge. A finished task is
forgotten, but for the few that failed.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cnflow.ids import TaskId
from cnflow.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


class AttemptResult(enum.Enum):
    """How a try of a task ended."""

    DONE = enum.auto()
    FAILED = enum.auto()
    """It ran and failed; another try may do better."""

    LOST = enum.auto()
    """By no fault of its own: something under it died."""

    RETURNED = enum.auto()
    """It was not begun; nothing was tried."""

    GIVEN_UP = enum.auto()
    """Another try would fail in the same way."""

    CANCELLED = enum.auto()
    """It was stopped as the user wished."""


class AttemptEnd(NamedTuple):
    """A try of a task ended."""

    task: TaskId
    verdict: AttemptResult
    cost: float = 1.0
    """What a failure takes from the task's budget of retries."""


class Actions(NamedTuple):
    """What follows from events."""

    launch: list[TaskId]
    """Hand these to their executors, for the first time or again."""

    final: list[tuple[TaskId, TaskState]]
    """Settle these, in this order: a dependency comes before those that failed by it."""

    failed_by: dict[TaskId, TaskId]
    """For each task in `final` that is DEPENDENCY_FAILED: the dependency that failed."""


class _Node(msgspec.Struct, gc=False):  # holds numbers only, and there is one for each task
    missing: int
    failures_left: float
    losses_left: int
    dependents: list[TaskId] | None = None


LOSSES = 3
"""How often a task is run again after it was lost; does not use up the user's retries."""


class TaskGraphState:
    """The state; see the module for its rules."""

    def __init__(self) -> None:
        self._nodes: dict[TaskId, _Node] = {}
        self._failed: set[TaskId] = set()
        self._counts = dict.fromkeys(TaskState, 0)

    def counts(self) -> Mapping[TaskState, int]:
        """How many tasks are in each state."""
        return dict(self._counts)

    def open_tasks(self) -> Collection[TaskId]:
        """Tasks that are not final, in the order of submission."""
        return list(self._nodes)

    def submitted(
        self, task: TaskId, depends_on: Collection[TaskId], retries: float = 0, losses: int = LOSSES
    ) -> Actions:
        """A new *task*, to run when all of *depends_on* are done; those were submitted before.

        *retries* is the budget of which each failure takes its cost.
        """
        nodes = self._nodes
        missing = 0
        for dependency in dict.fromkeys(depends_on) if depends_on else ():
            if dependency in self._failed:
                return self._stillborn(task, dependency)
            node = nodes.get(dependency)
            if node is not None:
                missing += 1
                if node.dependents is None:
                    node.dependents = []
                node.dependents.append(task)
        nodes[task] = _Node(missing, retries, losses)
        if missing:
            self._counts[TaskState.WAITING] += 1
            return Actions([], [], {})
        self._count(task, None, TaskState.LAUNCHED)
        return Actions([task], [], {})

    def ended(self, tries: Iterable[AttemptEnd]) -> Actions:
        """Tries ended. A verdict on a task that is final or not launched changes nothing."""
        changes = Actions([], [], {})
        for task, verdict, cost in tries:
            node = self._nodes.get(task)
            if node is None or node.missing:
                continue
            if verdict is AttemptResult.DONE:
                self._done(task, node, changes)
            elif self._try_again(node, verdict, cost):
                changes.launch.append(task)
            else:
                self._fail(
                    task, TaskState.CANCELLED if verdict is AttemptResult.CANCELLED else TaskState.FAILED, changes
                )
        return changes

    def cancelled(self, task: TaskId) -> Actions:
        """The user wants *task* no more. One that waits is settled; one that is launched must be stopped first."""
        changes = Actions([], [], {})
        node = self._nodes.get(task)
        if node is not None and node.missing:
            self._fail(task, TaskState.CANCELLED, changes)
        return changes

    def is_launched(self, task: TaskId) -> bool:
        """Whether an executor has *task*."""
        node = self._nodes.get(task)
        return node is not None and not node.missing

    def state_of(self, task: TaskId) -> TaskState | None:
        """Where *task* is; None once it is final."""
        if task not in self._nodes:
            return None
        return TaskState.LAUNCHED if self.is_launched(task) else TaskState.WAITING

    def _stillborn(self, task: TaskId, failed: TaskId) -> Actions:
        self._failed.add(task)
        self._counts[TaskState.DEPENDENCY_FAILED] += 1
        return Actions([], [(task, TaskState.DEPENDENCY_FAILED)], {task: failed})

    def abandoned(self) -> Actions:
        """The run ends: every task that is not final fails."""
        changes = Actions([], [], {})
        for task, node in self._nodes.items():
            self._count(task, TaskState.WAITING if node.missing else TaskState.LAUNCHED, TaskState.FAILED)
            changes.final.append((task, TaskState.FAILED))
        self._failed.update(self._nodes)
        self._nodes.clear()
        return changes

    def _count(self, task: TaskId, before: TaskState | None, after: TaskState) -> None:
        """Move *task* from one count to another; one below zero is a future from elsewhere, and no task."""
        if task >= 0:
            if before is not None:
                self._counts[before] -= 1
            self._counts[after] += 1

    @staticmethod
    def _try_again(node: _Node, verdict: AttemptResult, cost: float) -> bool:
        if verdict in {AttemptResult.GIVEN_UP, AttemptResult.CANCELLED}:
            return False
        if verdict is AttemptResult.RETURNED:
            return True
        if verdict is AttemptResult.LOST and node.losses_left:
            node.losses_left -= 1
            return True
        node.failures_left -= cost
        return node.failures_left >= 0

    def _done(self, task: TaskId, node: _Node, changes: Actions) -> None:
        del self._nodes[task]
        counts = self._counts
        self._count(task, TaskState.LAUNCHED, TaskState.DONE)
        changes.final.append((task, TaskState.DONE))
        for dependent in node.dependents or ():
            waiting = self._nodes.get(dependent)
            if waiting is None:
                continue  # failed already, by another dependency
            waiting.missing -= 1
            if not waiting.missing:
                counts[TaskState.WAITING] -= 1
                counts[TaskState.LAUNCHED] += 1
                changes.launch.append(dependent)

    def _fail(self, task: TaskId, state: TaskState, changes: Actions) -> None:
        self._count(task, TaskState.WAITING if self._nodes[task].missing else TaskState.LAUNCHED, state)
        changes.final.append((task, state))
        spreading = deque([task])
        while spreading:
            failed = spreading.popleft()
            self._failed.add(failed)
            node = self._nodes.pop(failed)
            for dependent in node.dependents or ():
                if dependent in self._nodes and dependent not in changes.failed_by:
                    self._counts[TaskState.WAITING] -= 1
                    self._counts[TaskState.DEPENDENCY_FAILED] += 1
                    changes.failed_by[dependent] = failed
                    changes.final.append((dependent, TaskState.DEPENDENCY_FAILED))
                    spreading.append(dependent)

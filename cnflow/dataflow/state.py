"""Every decision about tasks.

Rule 1: what is decided is decided here; `loop` only holds values and calls executors.
Rule 2: nothing here waits, reads a clock, logs, or knows a future, a function or an argument.

The life of a task::

    submitted ──> WAITING ──last dependency done──> LAUNCHED ──> DONE
                     │                              ^   │
                     │                              └───┤ failed, budget left; or lost with its manager
                     ├──a dependency failed──> DEPENDENCY_FAILED
                     │                                  ├──> FAILED
                     └──cancelled──> CANCELLED <────────┘

An event is a method call (`on_...`) that returns the `Actions` to take. Work is O(1) for each task and each edge. A
finished task is forgotten, but for the few that failed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from cnflow.dataflow.actions import Actions, AttemptEnd, AttemptResult
from cnflow.ids import TaskId
from cnflow.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


class _Node(msgspec.Struct, gc=False):  # holds numbers only, and there is one for each task
    missing: int
    failures_left: float
    stagings_left: float
    losses_left: int
    dependents: list[TaskId] | None = None


LOSSES = 3
"""Number of times that a lost task is run again; these do not use up the user's retries."""


class TaskGraphState:
    """Nodes and edges of the unfinished tasks, and a count of the tasks in each state."""

    def __init__(self) -> None:
        self._nodes: dict[TaskId, _Node] = {}
        self._failed: set[TaskId] = set()
        self._counts = dict.fromkeys(TaskState, 0)

    # Queries

    def counts(self) -> Mapping[TaskState, int]:
        """Return the number of tasks in each state."""
        return dict(self._counts)

    def open_tasks(self) -> Collection[TaskId]:
        """Return the tasks that are not final, in the order of submission."""
        return list(self._nodes)

    def is_launched(self, task: TaskId) -> bool:
        """Return True while an executor has *task*."""
        node = self._nodes.get(task)
        return node is not None and not node.missing

    def state_of(self, task: TaskId) -> TaskState | None:
        """Return the state of *task*; None once it is final."""
        if task not in self._nodes:
            return None
        return TaskState.LAUNCHED if self.is_launched(task) else TaskState.WAITING

    # Events

    def on_submitted(
        self,
        task: TaskId,
        depends_on: Collection[TaskId],
        retries: float = 0,
        losses: int = LOSSES,
        stagings: float = 0,
    ) -> Actions:
        """Enter *task*, which is launched when all of *depends_on*, submitted earlier, are done.

        *retries* is the budget from which each failure takes its cost, *stagings* that of failures to move a file.
        """
        nodes = self._nodes
        missing = 0
        for dependency in dict.fromkeys(depends_on) if depends_on else ():
            if dependency in self._failed:
                return self._fail_on_arrival(task, dependency)
            node = nodes.get(dependency)
            if node is not None:
                missing += 1
                if node.dependents is None:
                    node.dependents = []
                node.dependents.append(task)
        nodes[task] = _Node(missing, retries, stagings, losses)
        if missing:
            self._counts[TaskState.WAITING] += 1
            return Actions([], [], {})
        self._count(task, None, TaskState.LAUNCHED)
        return Actions([task], [], {})

    def on_attempts_ended(self, ends: Iterable[AttemptEnd]) -> Actions:
        """Settle or relaunch tasks. The end of an attempt at a task that is final or not launched changes nothing."""
        actions = Actions([], [], {}, {})
        for task, result, cost in ends:
            node = self._nodes.get(task)
            if node is None or node.missing:
                continue
            if result is AttemptResult.DONE:
                self._complete(task, node, actions)
            elif self._has_another_try(node, result, cost):
                actions.launch.append(task)
            else:
                self._fail(
                    task, TaskState.CANCELLED if result is AttemptResult.CANCELLED else TaskState.FAILED, actions
                )
        return actions

    def on_cancelled(self, task: TaskId) -> Actions:
        """Cancel *task* if it waits. A launched task stays until its executor reports that it was stopped."""
        actions = Actions([], [], {})
        node = self._nodes.get(task)
        if node is not None and node.missing:
            self._fail(task, TaskState.CANCELLED, actions)
        return actions

    def on_run_ended(self) -> Actions:
        """Fail every task that is not final."""
        actions = Actions([], [], {})
        for task, node in self._nodes.items():
            self._count(task, TaskState.WAITING if node.missing else TaskState.LAUNCHED, TaskState.FAILED)
            actions.final.append((task, TaskState.FAILED))
        self._failed.update(self._nodes)
        self._nodes.clear()
        return actions

    # Transitions

    def _count(self, task: TaskId, before: TaskState | None, after: TaskState) -> None:
        """Move *task* from one count to another. An id below zero is an external future and not counted."""
        if task >= 0:
            if before is not None:
                self._counts[before] -= 1
            self._counts[after] += 1

    def _fail_on_arrival(self, task: TaskId, failed: TaskId) -> Actions:
        self._failed.add(task)
        self._counts[TaskState.DEPENDENCY_FAILED] += 1
        return Actions([], [(task, TaskState.DEPENDENCY_FAILED)], {task: failed})

    @staticmethod
    def _has_another_try(node: _Node, result: AttemptResult, cost: float) -> bool:
        """Take the failed attempt from the budgets of *node* and return True if the task is to be launched again."""
        if result in {AttemptResult.GIVEN_UP, AttemptResult.CANCELLED}:
            return False
        if result is AttemptResult.RETURNED:
            return True
        if result is AttemptResult.LOST and node.losses_left:
            node.losses_left -= 1
            return True
        if result is AttemptResult.NOT_STAGED:
            node.stagings_left -= 1
            return node.stagings_left >= 0
        node.failures_left -= cost
        return node.failures_left >= 0

    def _complete(self, task: TaskId, node: _Node, actions: Actions) -> None:
        del self._nodes[task]
        counts = self._counts
        self._count(task, TaskState.LAUNCHED, TaskState.DONE)
        actions.final.append((task, TaskState.DONE))
        if node.dependents is None:
            return
        actions.waiting[task] = node.dependents
        for dependent in node.dependents:
            waiting = self._nodes.get(dependent)
            if waiting is None:
                continue  # failed already, by another dependency
            waiting.missing -= 1
            if not waiting.missing:
                counts[TaskState.WAITING] -= 1
                counts[TaskState.LAUNCHED] += 1
                actions.launch.append(dependent)

    def _fail(self, task: TaskId, state: TaskState, actions: Actions) -> None:
        """Make *task* final in *state*, and DEPENDENCY_FAILED all that depend on it, breadth first."""
        self._count(task, TaskState.WAITING if self._nodes[task].missing else TaskState.LAUNCHED, state)
        actions.final.append((task, state))
        spreading = deque([task])
        while spreading:
            failed = spreading.popleft()
            self._failed.add(failed)
            node = self._nodes.pop(failed)
            for dependent in node.dependents or ():
                if dependent in self._nodes and dependent not in actions.failed_by:
                    self._counts[TaskState.WAITING] -= 1
                    self._counts[TaskState.DEPENDENCY_FAILED] += 1
                    actions.failed_by[dependent] = failed
                    actions.final.append((dependent, TaskState.DEPENDENCY_FAILED))
                    spreading.append(dependent)

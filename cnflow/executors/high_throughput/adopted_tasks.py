"""Finds the tasks of an executor among those that a killed driver left with its managers; shell of `adoption`.

::

    submit ── take ──> Adoption ──> held back, or waits for an old task: not sent
                          │    └──> its result is there: delivered by this object's thread
    ManagerHolds ─────────┤
    Results ── renamed ───┘
    all managers are back, or `_LONGEST_WAIT` is over ── thread ──> tasks that were held back: looked up, or sent

Its thread lives while managers are awaited or results wait to be delivered: `take` is called under the executor's lock,
under which nothing can be delivered. A run that adopts nothing has no such object.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Protocol

from cnflow.blocks.inbox import next_event
from cnflow.executors.high_throughput.adoption import Adoption
from cnflow.wire.messages import Cancel
from cnflow.wire.serialization import unite_classes
from cnflow.wire.task_digest import TaskDigests

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cnflow.clock import Clock
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.task_queue import SerializedTask
    from cnflow.ids import ManagerId, TaskId
    from cnflow.wire.manager_messages import HeldTask
    from cnflow.wire.messages import ResultParcel

logger = logging.getLogger(__name__)

_LONGEST_WAIT = 10.0
"""Seconds from the open port of the interchange for which tasks are held back: managers reconnect within a second."""


class TaskOwner(Protocol):
    """Executor of the tasks."""

    def on_results(self, parcels: Iterable[ResultParcel]) -> None:
        """Report the results of tasks."""

    def send_held(self, tasks: Iterable[TaskId]) -> None:
        """Send those of *tasks* to the interchange that are not reported yet."""


class AdoptedTasks:
    """Tasks of one executor in a run that was taken over. Safe from any thread.

    Args:
        label: of the executor.
        awaited: managers of the killed driver.
        first_new: number of the first task of this driver.
        clock: measures how long managers are awaited.
    """

    def __init__(self, label: str, awaited: Iterable[ManagerId], first_new: TaskId, clock: Clock) -> None:
        self._label = label
        self._clock = clock
        self._adoption = Adoption(awaited, first_new, unite_classes)
        self._digests = TaskDigests()
        self._lock = threading.Lock()
        self._changed: queue.SimpleQueue[ResultParcel | float | None] = queue.SimpleQueue()
        """Results to deliver; the time for which managers are awaited from now on; None at the end of the run."""

        self._thread = threading.Thread(target=self._serve, name=f"cnflow-{label}-adoption", daemon=True)

    def start(self, owner: TaskOwner) -> None:
        """Begin; *owner* is called from this object's thread, and from that which brings messages."""
        self._owner = owner
        self._thread.start()

    def close(self) -> None:
        """End the thread, and log what became of the old tasks."""
        self._changed.put(None)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock:
            adopted, unclaimed = self._adoption.adopted, self._adoption.unclaimed
        logger.info(
            "executor %s: %d tasks of the killed driver served this one; %d others were not submitted again, and their "
            "results are dropped",
            self._label,
            adopted,
            unclaimed,
        )

    # The executor's threads

    def take(self, task: SerializedTask) -> bool:
        """Return True if *task* is not to be sent: it is held back, or an old task serves it."""
        with self._lock:
            if self._adoption.is_over:
                return False
            identity = self._digests.identity(*task)
            if self._adoption.is_collecting:
                self._adoption.hold_back(task, identity)
                return True
            found = self._adoption.take(task, identity)
        if not isinstance(found, bool):
            self._changed.put(found)
        return found is not False

    def cancel(self, tasks: Collection[TaskId]) -> tuple[list[TaskId], dict[TaskId, int]]:
        """Take back tasks that are held back; return them, and the old attempts that are to be stopped for others."""
        with self._lock:
            return self._adoption.cancel(tasks)

    def is_served(self, task: TaskId) -> bool:
        """Return True for a task that a restarted interchange must not be sent."""
        with self._lock:
            return self._adoption.waits_elsewhere(task)

    # The client's and the provisioner's thread

    def on_bound(self, managers: Collection[ManagerId]) -> None:
        """Await *managers* from now on, for a limited time; the blocks of the others have ended."""
        with self._lock:
            self._adoption.await_only(managers)
        self._changed.put(_LONGEST_WAIT)

    def on_held(self, manager: ManagerId, tasks: Mapping[TaskId, HeldTask]) -> None:
        """Add the tasks of a manager that has come back."""
        logger.info("executor %s: manager %s is back with %d tasks", self._label, manager.hex(), len(tasks))
        with self._lock:
            self._adoption.on_held(manager, tasks)
            self._adoption.on_manager_back(manager)
        self._changed.put(0.0)

    def on_manager_lost(self, manager: ManagerId) -> None:
        """Send the tasks that waited for old ones of a manager that is gone."""
        with self._lock:
            to_send = self._adoption.on_manager_lost(manager)
        self._owner.send_held(to_send)
        self._changed.put(0.0)

    def renamed(self, results: Iterable[ResultParcel]) -> list[ResultParcel]:
        """Return *results* with those of old tasks under the numbers of the tasks that waited for them."""
        with self._lock:
            renamed, to_send = self._adoption.on_results(results)
        if to_send:
            self._owner.send_held(to_send)
        return renamed

    # The own thread

    def _serve(self) -> None:
        deadline: float | None = None
        clock = self._clock.now
        while True:
            try:
                item = next_event(self._changed, None if deadline is None else deadline - clock())
            except queue.Empty:
                logger.warning("executor %s: not all managers of the killed driver came back in time", self._label)
                with self._lock:
                    self._adoption.on_time_over()
                item = 0.0
            if item is None:
                return
            if not isinstance(item, float):
                self._owner.on_results([item])
            elif item:
                deadline = clock() + item
            if deadline is not None and self._release_held_back():
                deadline = None

    def _release_held_back(self) -> bool:
        """Look up the tasks that were held back; return False while managers are awaited."""
        results: list[ResultParcel] = []
        to_send: list[TaskId] = []
        with self._lock:
            if self._adoption.is_collecting:
                return False
            for task, identity in self._adoption.take_held_back():
                found = self._adoption.take(task, identity)
                if found is False:
                    to_send.append(task[1][0].id)
                elif found is not True:
                    results.append(found)
            logger.info("executor %s: %d tasks of the killed driver are found", self._label, self._adoption.adopted)
        self._owner.on_results(results)
        self._owner.send_held(to_send)
        return True


def take_back(attempts: dict[TaskId, int], client: InterchangeClient, adopted: AdoptedTasks | None) -> list[TaskId]:
    """Return the tasks that have not left the driver, and order the others to be stopped."""
    if adopted is None:
        return client.cancel(attempts)
    removed, old = adopted.cancel(attempts)
    if old:
        client.order(Cancel(old))
    sent = {task: attempt for task, attempt in attempts.items() if not adopted.is_served(task)}
    return [*removed, *client.cancel({task: sent[task] for task in sent.keys() - set(removed)})]

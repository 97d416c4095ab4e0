"""Records of the pool's clients, and of their tasks that the scheduler has. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NewType, Optional

from cnflow.interchange.pool.client_queue import ClientQueue, kind_of
from cnflow.wire.manager_messages import ClientStatus

if TYPE_CHECKING:
    from cnflow.ids import FunctionId, TaskId
    from cnflow.interchange.pool.client_queue import Kind
    from cnflow.units import Seconds
    from cnflow.wire.messages import Task

ClientId = NewType("ClientId", int)
"""Counts up from 1 within an interchange: a session of a driver. A driver that begins a new session gets a new one."""


class Client:
    """One session of a driver.

    Attributes:
        id: of the session.
        session: its identity, as hexadecimal digits.
        name: of its key.
        weight: its share, compared with those of others.
        queue: tasks that wait for their turn.
        scheduled: tasks that the scheduler or a manager has, and their ids there.
        inside: number of those that the scheduler has, by kind.
        running: number of those that managers have.
        load: what these take, in workers.
        turn: of its last task, among all turns.
        ended: results so far.
        is_full: so much is on its way to the client that none of its tasks should start.
        is_connected: for the report.
        last_received: moment of its last message.
    """

    __slots__ = (
        "ended", "id", "inside", "is_connected", "is_full", "last_received", "load", "name", "queue", "running",
        "scheduled", "session", "turn", "weight",
    )  # fmt: skip

    def __init__(self, number: ClientId, session: str, name: str, weight: float, now: Seconds) -> None:
        self.id = number
        self.session = session
        self.name = name
        self.weight = weight
        self.queue = ClientQueue()
        self.scheduled: dict[TaskId, TaskId] = {}
        self.inside: Counter[Optional[Kind]] = Counter()
        self.running = self.turn = self.ended = 0
        self.load = 0.0
        self.is_full = False
        self.is_connected = True
        self.last_received = now

    @property
    def queued(self) -> int:
        """Number of tasks that no manager has."""
        return len(self.queue) + len(self.scheduled) - self.running

    def status(self, now: Seconds) -> ClientStatus:
        """Entry of this client in a report."""
        idle = max(0.0, now - self.last_received)
        counts = self.queued, self.running, self.ended
        return ClientStatus(self.name, self.session, self.is_connected, self.weight, *counts, idle)


class ScheduledTask:
    """A client's task that the scheduler or a manager has, under an id that no other task of any client has.

    Attributes:
        client: whose task it is.
        id: as the client knows it.
        attempt: of the client.
        function: its function.
        rows: of a call of a model; 0 for other tasks.
        kind: of its needs.
        line: of its client's queue, in which it was.
        cost: workers that it takes, or as many as its cores or accelerators.
        is_running: a manager has it.
    """

    __slots__ = ("attempt", "client", "cost", "function", "id", "is_running", "kind", "line", "rows")

    def __init__(self, client: Client, task: Task, line: Optional[Kind]) -> None:
        self.client = client
        self.id: TaskId = task.id
        self.attempt = task.attempt
        self.function: FunctionId = task.function
        self.rows: int = task.rows
        self.kind = kind = kind_of(task)
        self.line = line
        self.cost = 1.0 if kind is None else max(1.0, kind[0], float(kind[2]))
        self.is_running = False


def is_sound(task: Task) -> bool:
    """True if the needs of *task* have a place in an order."""
    needs = task.needs
    if needs is None:
        return True
    return math.isfinite(needs.cores) and not math.isnan(needs.priority) and not math.isnan(task.walltime)

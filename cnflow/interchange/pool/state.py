"""Decisions of an interchange that serves several clients.

Rule 1: every decision about clients is made here; those about managers and nodes are made by `StandingInterchange`,
which knows no clients. Rule 2: nothing here waits, reads a clock, logs or touches a socket.

A task of a client is in exactly one place. In the scheduler it has an id of its own, which counts up over all clients
and interchanges: it is the order of turns, and no manager takes a task of one client, or of before a restart, for that
of another::

    on_submitted ──> ClientQueue ── a turn, `dispatch` ──> scheduler ── dispatch ──> manager ── route ──> ForClient:
                         │      room: a free worker, or        │                        │                SendResults
                         │      less than a window of tasks    │                        │
                         │      of its kind waits inside       │                        └── lost: ReportManagerDown
                         ├── on_cancelled ──> ForClient        └── on_cancelled, fits no node ──> route
                         v
    on_client_gone: dropped; those that managers have are cancelled, and their results dropped as they come

A client::

    on_client ──> gets turns ──> `is_full`: gets none while its results are not taken ──> on_client_gone
                      ^                            │
                      └────────────────────────────┘

The tasks of one client never wait for those of another that fit no node now: each has its own windows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Optional, Union

import msgspec

from cnflow.ids import ManagerId, TaskId
from cnflow.interchange import actions as on
from cnflow.interchange.pool.actions import ForClient, PoolAction, ReleaseResults, ReportNoWorkers
from cnflow.interchange.pool.client import Client, ClientId, ScheduledTask, is_sound
from cnflow.interchange.pool.client_queue import BULK, EXPRESS, kind_of
from cnflow.interchange.pool.fair_share import FairShare
from cnflow.interchange.pool.models import ClientModels
from cnflow.tasks.call_demand import CallDemand
from cnflow.wire.manager_messages import Needs, PoolReport, QueuedNeeds, StatusReport, WorkerNote
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.ids import FunctionId
    from cnflow.interchange.pool.client_queue import Kind
    from cnflow.interchange.pool.functions import SharedFunctions
    from cnflow.interchange.pool.standing import StandingInterchange
    from cnflow.units import Seconds
    from cnflow.wire.function_messages import Function
    from cnflow.wire.manager_messages import ManagerInfo, StatusQuery
    from cnflow.wire.messages import ResultParcel, Task, TaskParcel

_WINDOW = 8
"""Tasks of one client and kind that wait in the scheduler: enough to see which fit, few enough for turns to count."""

_WINDOW_OF_PLAIN = 64
NO_TASK = TaskId(-1)
_NO_NEWS = ReportNoWorkers("", is_final=False)

_MOST_NEEDS = 256
"""Kinds of tasks in a report; those of the others count as tasks without needs."""


class PoolInterchange:
    """State of the pool; the module has its rules.

    Args:
        scheduler: has those tasks whose turn has come, and the managers.
        functions: of all clients; the scheduler has its table.
        first_task: id of the first task, above those of any interchange before.

    Attributes:
        scheduler: gets the events of managers and the orders of the owner; what it returns goes through `route`.
        clients: those that are not gone.
        submitted: number of tasks so far.
        ended: number of those of them that have ended.
        models: that managers are to load.
    """

    def __init__(self, scheduler: StandingInterchange, functions: SharedFunctions, first_task: int) -> None:
        self.scheduler = scheduler
        self.clients: dict[ClientId, Client] = {}
        self.submitted = self.ended = 0
        self.models = ClientModels()
        self._functions = functions
        self._next_task = first_task
        self._next_client = 1
        self._turn = 0
        self._tasks: dict[TaskId, ScheduledTask] = {}
        self._infos: dict[ManagerId, ManagerInfo] = {}
        self._no_workers = _NO_NEWS
        self._unfinished: Counter[Optional[Kind]] = Counter()
        self._running: Counter[Optional[Kind]] = Counter()
        self._calls = CallDemand()

    # Clients

    def on_client(self, session: str, name: str, weight: float, now: Seconds) -> tuple[Client, list[PoolAction]]:
        """Begin to serve a session of the client *name*; return its record, and reports of the managers for it.

        Without any, it gets the report of why there is none.
        """
        client = ClientId(self._next_client)
        self._next_client += 1
        record = self.clients[client] = Client(client, session, name, weight, now)
        managers = [ForClient(client, on.ReportManagerUp(manager, info)) for manager, info in self._infos.items()]
        news = [ForClient(client, self._no_workers)] if self._no_workers.reason else []
        return record, [*managers, *news]

    def on_client_gone(self, client: ClientId, now: Seconds) -> list[PoolAction]:
        """Forget a client, and its tasks: it has ended, or did not come back."""
        record = self.clients.pop(client, None)
        if record is None:
            return []
        self._functions.on_client_gone(client)
        for task, _ in record.queue:
            self._on_ended(kind_of(task), task)
        attempts = {number: self._tasks[number].attempt for number in record.scheduled.values()}
        actions = self.scheduler.on_prepare(self.models.all()) if self.models.on_client_gone(client) else []
        return self.route([*actions, *(self.scheduler.on_cancelled(attempts, now) if attempts else ())])

    def on_submitted(
        self, client: ClientId, functions: Sequence[Function], tasks: Sequence[TaskParcel], *, forgets: bool = False
    ) -> None:
        """Queue *tasks*; *functions* are those that the client did not send before.

        Raises:
            ValueError: a task has a function that was not sent, or needs that are no numbers; nothing was queued.
        """
        record = self.clients[client]
        if forgets:
            queued = {task.function for task, _ in record.queue}
            scheduled = {self._tasks[number].function for number in record.scheduled.values()}
            self._functions.forget(client, queued | scheduled | self.models.of(client))
        known = self._functions.of(client)
        sent = {function.id for function in functions}
        _check_modules(functions, known)
        for task, _ in tasks:
            if task.function not in known and task.function not in sent:
                raise ValueError(f"task {task.id} of a function that was not sent")
            if not is_sound(task):
                raise ValueError(f"task {task.id} with needs that are no numbers")
        self._functions.on_received(client, functions)
        for parcel in tasks:
            kind = kind_of(parcel[0])
            self._unfinished[kind] += 1
            if kind is None and parcel[0].rows:
                self._on_call(parcel[0])
            if (replaced := record.queue.add(parcel)) is not None:
                self._on_ended(kind_of(replaced[0]), replaced[0])
        if record.queue.has_calls:
            self.scheduler.allow_calls()
        self.submitted += len(tasks)

    def on_cancelled(self, client: ClientId, attempts: Mapping[TaskId, int], now: Seconds) -> list[PoolAction]:
        """Cancel *attempts* of tasks of *client*. Those that are not here have ended, and were reported."""
        record = self.clients[client]
        results = []
        for task, _ in record.queue.remove(attempts):
            self._on_ended(kind_of(task), task)
            record.ended += 1
            results.append(on.cancel_result(task))
        scheduled = {record.scheduled[task]: attempt for task, attempt in attempts.items() if task in record.scheduled}
        actions: list[PoolAction] = [ForClient(client, on.SendResults(results))] if results else []
        return [*actions, *self.route(self.scheduler.on_cancelled(scheduled, now))] if scheduled else actions

    def on_prepare(self, client: ClientId, functions: Sequence[Function]) -> list[PoolAction]:
        """Have all managers load models for *client*, in place of those before, beside those of other clients.

        Raises:
            ValueError: a function comes without its modules; nothing was changed.
        """
        _check_modules(functions, self._functions.of(client))
        self._functions.on_received(client, functions)
        self.models.replace(client, [self._functions.table[function.id] for function in functions])
        return self.route(self.scheduler.on_prepare(self.models.all()))

    # Turns

    def dispatch(self, now: Seconds) -> list[PoolAction]:
        """Give the clients turns, and send tasks to managers that can take them. Due after each round of events."""
        actions = self.route(self.scheduler.dispatch(now))
        while parcels := self._take_turns():
            unfit = self.scheduler.on_submitted((), parcels, may_have_needs=True)
            actions += self.route(unfit)
            actions += self.route(self.scheduler.dispatch(now))
        return actions

    def _take_turns(self) -> list[TaskParcel]:
        """Take tasks out of the queues, in order of turns, as far as there is room for them."""
        share = FairShare((each for each in self.clients.values() if len(each.queue) and not each.is_full), self._turn)
        express_room, bulk_room = self.scheduler.calls_room
        rooms = {None: self.scheduler.room, EXPRESS: express_room, BULK: bulk_room}
        parcels: list[TaskParcel] = []
        while (client := share.next()) is not None:
            is_by_resources = self.scheduler.is_by_resources
            chosen = client.queue.first(lambda kind: _room(client, kind, rooms, is_by_resources) > 0)  # noqa: B023 - called at once
            if chosen is None:
                share.on_out(client)
                continue
            (kind,) = chosen
            count = share.most(_room(client, kind, rooms, is_by_resources)) if kind in rooms else 1
            taken = client.queue.take(kind, count)
            if kind in rooms:
                rooms = {each: room - len(taken) for each, room in rooms.items()}
            share.on_given(client, sum(self._schedule(client, parcel, kind) for parcel in taken))
            parcels += taken
            if not len(client.queue):
                share.on_out(client)
        self._turn = share.turn
        return parcels

    def _schedule(self, client: Client, parcel: TaskParcel, line: Optional[Kind]) -> float:
        """Give a task the next id; return what it takes of the client's share."""
        task = parcel[0]
        number = TaskId(self._next_task)
        self._next_task += 1
        scheduled = self._tasks[number] = ScheduledTask(client, task, line)
        client.scheduled[task.id] = number
        client.inside[line] += 1
        task.id = number
        if task.needs is not None:
            task.needs = Needs(task.needs.cores, task.needs.memory, task.needs.accelerators)
        return scheduled.cost

    # Workers

    def on_no_workers(self, reason: str, *, is_final: bool) -> list[PoolAction]:
        """Report to all clients why no manager comes, if none has come meanwhile; no *reason* withdraws that."""
        news = ReportNoWorkers(reason, is_final) if reason and not self._infos else _NO_NEWS
        if news == self._no_workers:
            return []
        self._no_workers = news
        return [ForClient(client, news) for client in self.clients]

    # What the scheduler decides

    def route(self, actions: Iterable[on.Action]) -> list[PoolAction]:
        """Return *actions* of the scheduler with results and losses as their clients know them.

        What is left is for managers, or news for the owner, which has no tasks.
        """
        routed: list[PoolAction] = []
        for action in actions:
            if isinstance(action, on.SendResults):
                routed += self._route_results(action.results)
            elif isinstance(action, on.SendWork):
                self._on_sent(action.tasks)
                routed.append(action)
            elif isinstance(action, on.ReportManagerUp):
                self._infos[action.manager] = action.info
                routed += self.on_no_workers("", is_final=False)
                routed += [action, *(ForClient(client, action) for client in self.clients)]
            elif isinstance(action, on.ReportManagerDown):
                routed += self._route_loss(action)
            else:
                routed.append(action)
        return routed

    def _on_sent(self, tasks: Iterable[TaskParcel]) -> None:
        for task, _ in tasks:
            scheduled = self._tasks[task.id]
            client = scheduled.client
            scheduled.is_running = True
            client.inside[scheduled.line] -= 1
            client.running += 1
            client.load += scheduled.cost
            self._running[scheduled.kind] += 1

    def _route_results(self, results: Iterable[ResultParcel]) -> list[PoolAction]:
        by_client: dict[ClientId, list[ResultParcel]] = {}
        actions: list[PoolAction] = []
        for parcel in results:
            result = parcel[0]
            is_piece = result.kind == ResultKind.PARTIAL
            scheduled = self._tasks.get(result.id) if is_piece else self._pop(result.id, result.seconds)
            if scheduled is not None and scheduled.client.id in self.clients:
                result.id = scheduled.id
                scheduled.client.ended += not is_piece
                by_client.setdefault(scheduled.client.id, []).append(parcel)
            else:
                kept = [*((o.source, o.blob) for o in result.blobs), *((i.source, i.id) for i in result.items)]
                actions += [ReleaseResults(ManagerId(source), [blob], source) for source, blob in kept]
        return [*actions, *(ForClient(client, on.SendResults(parcels)) for client, parcels in by_client.items())]

    def _route_loss(self, down: on.ReportManagerDown) -> list[PoolAction]:
        self._infos.pop(down.manager, None)
        lost: dict[ClientId, dict[TaskId, int]] = {client: {} for client in self.clients}
        for number, attempt in down.lost.items():
            scheduled = self._pop(number)
            if scheduled is not None and scheduled.client.id in lost:
                scheduled.client.ended += 1
                lost[scheduled.client.id][scheduled.id] = attempt
        reports = [ForClient(client, down._replace(lost=tasks)) for client, tasks in lost.items()]
        return [down._replace(lost={}), *reports]

    def _pop(self, number: TaskId, seconds: float = 0.0) -> Optional[ScheduledTask]:
        """Remove a task that has ended, and ran for *seconds*; None if nobody knows it."""
        scheduled = self._tasks.pop(number, None)
        if scheduled is None:
            return None
        client = scheduled.client
        if client.scheduled.get(scheduled.id) == number:
            del client.scheduled[scheduled.id]
        if scheduled.is_running:
            client.running -= 1
            client.load = client.load - scheduled.cost if client.running else 0.0
            self._running[scheduled.kind] -= 1
            if not self._running[scheduled.kind]:
                del self._running[scheduled.kind]
        else:
            client.inside[scheduled.line] -= 1
        self._on_ended(scheduled.kind, scheduled, seconds)
        return scheduled

    def _on_call(self, task: Task) -> None:
        self._calls.add(task.function, self._functions.table[task.function].batching, task.rows)

    def _on_ended(self, kind: Optional[Kind], task: Union[Task, ScheduledTask], seconds: float = 0.0) -> None:
        self.ended += 1
        if kind is None and task.rows:
            self._calls.remove(task.function, task.rows, seconds)
        self._unfinished[kind] -= 1
        if not self._unfinished[kind]:
            del self._unfinished[kind]

    # Questions

    def counts(self) -> tuple[int, ...]:
        """Figures of which one is another whenever a report would be."""
        clients = self.clients.values()
        running = sum(client.running for client in clients), sum(client.is_connected for client in clients)
        return self.submitted, self.ended, self._next_client, len(clients), len(self._infos), *running

    def report(self, now: Seconds) -> PoolReport:
        """State of the clients and their queues."""
        calls, workers = len(self._calls), self._calls.slots()
        every = self._unfinished.items()
        counts = Counter(
            {kind: count if kind is not None else count - calls + workers for kind, count in every}
        ).most_common()
        shown, others = counts[:_MOST_NEEDS], counts[_MOST_NEEDS:]
        needs = [QueuedNeeds(count, max(0, count - self._running[kind]), Needs(*(kind or ()))) for kind, count in shown]
        if others:
            running = sum(self._running[kind] for kind, _ in others)
            unfinished = sum(count for _, count in others)
            needs.append(QueuedNeeds(unfinished, max(0, unfinished - running), Needs()))
        clients = [client.status(now) for client in self.clients.values()]
        return PoolReport(clients, needs, self.submitted, self.ended, len(self._infos))

    def status_report(self, client: ClientId, query: StatusQuery, now: Seconds) -> StatusReport:
        """Reply to a `StatusQuery` of *client*: the state of all managers, and the place of its task."""
        record = self.clients[client]
        number = record.scheduled.get(query.task)
        if number is not None:
            return self.scheduler.status_report(query.number, number, now)
        report = self.scheduler.status_report(query.number, NO_TASK, now)
        return StatusReport(report.number, report.managers, report.holder, record.queue.position(query.task))

    def notes_by_client(self, notes: Iterable[WorkerNote]) -> dict[ClientId, list[WorkerNote]]:
        """Return the notes on tasks by the client of each, with the numbers of its tasks; others are nobody's."""
        found: dict[ClientId, list[WorkerNote]] = {}
        for note in notes:
            scheduled = self._tasks.get(TaskId(note.task))
            if scheduled is not None:
                known = msgspec.structs.replace(note, task=scheduled.id)
                found.setdefault(scheduled.client.id, []).append(known)
        return found

    def number_of(self, client: ClientId, task: TaskId) -> TaskId:
        """Id that managers know a task of *client* by; `NO_TASK` if none has it."""
        return self.clients[client].scheduled.get(task, NO_TASK)


def _room(client: Client, kind: Optional[Kind], rooms: Mapping[Optional[Kind], int], is_by_resources: bool) -> int:  # noqa: FBT001 - private
    """Tasks of *kind* that *client* may have in this turn; *rooms* are those of tasks without needs."""
    if kind not in rooms:
        return _WINDOW - client.inside[kind]
    return _WINDOW_OF_PLAIN - client.inside[kind] if is_by_resources else rooms[kind]


def _check_modules(functions: Sequence[Function], known: set[FunctionId]) -> None:
    """Check that the modules of *functions* are *known*, or among these.

    Raises:
        ValueError: one is not.
    """
    here = known.union(function.id for function in functions)
    for function in functions:
        if not here.issuperset(function.modules):
            raise ValueError(f"function {function.name} without its modules")

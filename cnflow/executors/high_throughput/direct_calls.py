"""Calls that reach an executor beside the dataflow graph: requests of a server, which are answered by callbacks.

::

    submit ──TaskToRun──> executor ──> ... ──> worker
      │                                           │ Results
    _calls <── deliver([piece, piece, ...]) ──────┤ PARTIAL: a piece of a stream, in order, each once
      └─────── deliver([outcome, outcome]) <──────┘ all outcomes of one message; none of them reaches the graph

    collect ──> calls of one turn of an event loop leave together: one message, and no other thread in between

    prepare ──Prepare──> every manager, also later ones ──> workers load models ──Prepared──> deliver([PreparedModel])

A call is a task with an id of a range of its own, so that losses, cancellations, restarts of the interchange and the
end of the run treat it as any other task: it ends once, whatever happens. It is never retried here, and never one of
the tasks that a driver adopts: who has made a call has gone with its driver.

Pieces are numbered by their worker. A manager sends again what an interchange that died may not have passed on: then a
number comes twice. A stream that begins anew on another manager, after pieces of the first one, ends with an error.
"""

from __future__ import annotations

import functools
import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from cnflow.errors import ManagerLost
from cnflow.executors.high_throughput.model_preparation import ModelPreparation
from cnflow.executors.high_throughput.results import outcome_of
from cnflow.ids import FIRST_CALL, TaskId
from cnflow.model.task import NO_OPTIONS, Outcome, TaskToRun
from cnflow.wire.messages import Cancel
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.executors.high_throughput.model_preparation import PreparedModel
    from cnflow.executors.high_throughput.serialization import TaskSerializer
    from cnflow.ids import ManagerId
    from cnflow.interfaces import Report
    from cnflow.model.batching import BatchPart
    from cnflow.model.task import AppFunction, RunOptions
    from cnflow.wire.function_messages import Prepared
    from cnflow.wire.manager_messages import HeldTask, ManagerInfo
    from cnflow.wire.messages import ResultParcel

logger = logging.getLogger(__name__)


class Delivery(NamedTuple):
    """A callback that is due."""

    callback: Callable[[Any], None]
    value: Any
    """Its argument."""


class CallOwner(Protocol):
    """Executor of the calls."""

    def submit(self, tasks: Sequence[TaskToRun], *, waits: bool = False) -> None:
        """Take *tasks* over; each is reported exactly once. With *waits* they leave by `InterchangeClient.push`."""

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Stop *tasks*; each is still reported."""

    def report_held(self, outcomes: Iterable[Outcome]) -> None:
        """Report the outcomes of tasks that are still held."""

    def title(self, task: TaskId) -> str:
        """Title of *task* in messages."""


class _Call:
    """A call without an outcome.

    Attributes:
        done: takes the outcome.
        piece: takes each piece of the stream; None where the call is not one.
        next_piece: number of the next one.
        manager: that the pieces came from; empty before the first.
    """

    __slots__ = ("done", "manager", "next_piece", "piece")

    def __init__(self, done: Callable[[Outcome], None], piece: Callable[[Any], None] | None) -> None:
        self.done = done
        self.piece = piece
        self.next_piece = 0
        self.manager = ""


class DirectCalls:
    """The calls; the module has a picture. Safe from any thread.

    Args:
        owner: of the calls.
        serializer: makes bytes of models.
        managers: those that are connected.
        client: carries orders to the interchange.
        on_model: called with the news of each worker on a model, for the record of the run.

    Attributes:
        deliver: gets all callbacks of one message of the interchange at once, and has each called with its value, soon
            and in order; called in a thread of the executor. The usual one calls them there.
    """

    def __init__(
        self,
        owner: CallOwner,
        serializer: TaskSerializer,
        managers: ConnectedManagers,
        client: InterchangeClient,
        on_model: Callable[[PreparedModel], object] = bool,
    ) -> None:
        self._owner = owner
        self._on_model = on_model
        self._managers = managers
        self._client = client
        self._calls: dict[TaskId, _Call] = {}
        # Ids are not those of a killed driver, whose calls may end yet.
        self._ids = itertools.count(FIRST_CALL + (int(time.time() * 1000) << 20))
        self._models = ModelPreparation(serializer, client)
        self.deliver: Callable[[list[Delivery]], None] = call_all
        self._call_soon: Callable[[Callable[[], None]], object] | None = None
        self._collector = 0
        """Thread of the event loop whose calls are collected."""

        self._collected: list[TaskToRun] = []
        self._collecting = threading.RLock()
        """Held while calls are collected, or handed on: one that is cancelled has to be found."""

    def __len__(self) -> int:
        """Number of calls without an outcome."""
        return len(self._calls)

    def submit(  # noqa: PLR0913 - the parts of a task, and who takes its outcome
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
        options: RunOptions = NO_OPTIONS,
        batch: BatchPart | None = None,
        *,
        done: Callable[[Outcome], None],
        piece: Callable[[Any], None] | None = None,
    ) -> TaskId:
        """Call *app* in a worker, and return at once.

        Args:
            app: function to call; the same object for all calls of it.
            args: positional arguments, which nobody changes until they are sent.
            kwargs: others.
            options: of the task.
            batch: part in a batch; None for a call that runs alone.
            done: called exactly once with the outcome, perhaps before this returns.
            piece: called with each piece of the stream, in order, before *done*.
        """
        call = TaskId(next(self._ids))
        self._calls[call] = _Call(done, piece)
        task = TaskToRun(call, app, args, dict(kwargs or {}), options, batch=batch)
        if self._call_soon is None or threading.get_ident() != self._collector:
            self._owner.submit([task])
            return call
        with self._collecting:
            self._collected.append(task)
            if len(self._collected) == 1:
                try:
                    self._call_soon(self._submit_collected)
                except RuntimeError:  # the loop is closed: no turn of it ends any more
                    self.collect(None)
        return call

    def collect(self, call_soon: Callable[[Callable[[], None]], object] | None) -> None:
        """Send the calls that this thread makes in one turn of its event loop together, from now on.

        The thread of the client is spared, which else is woken once for each call: on a busy core a millisecond.

        Args:
            call_soon: has a function called at the end of the turn; None ends this.
        """
        self._collector, self._call_soon = threading.get_ident(), call_soon
        self._submit_collected()

    def _submit_collected(self) -> None:
        with self._collecting:
            tasks, self._collected = self._collected, []
            for task in tasks:
                try:
                    self._owner.submit([task], waits=True)
                except Exception as error:  # the others have callers of their own
                    logger.exception("a call of %s cannot be sent", task.app.name)
                    call = self._calls.pop(task.id, None)
                    self._deliver([] if call is None else [Delivery(call.done, Outcome(task.id, None, error))])
            if tasks:
                self._client.push(at_once=True)

    def cancel(self, calls: Collection[TaskId]) -> None:
        """Stop *calls*, wherever they are: each is done with CancelledError, unless it was faster."""
        self._submit_collected()
        self._owner.cancel(calls)

    # Models that are loaded before their first call

    def prepare(self, apps: Collection[AppFunction], on_prepared: Callable[[PreparedModel], None]) -> None:
        """Have every worker load the models *apps*, before it takes a task of them; beside those of earlier calls.

        Args:
            apps: functions whose `AppFunction.function` is a model.
            on_prepared: called for each worker that has loaded one, or cannot; also for workers that start later.

        Raises:
            SerializationError: a model cannot be pickled; nothing was changed.
        """
        self._models.add(apps, on_prepared)

    def forget(self, apps: Collection[AppFunction]) -> None:
        """Have workers that start from now on not load the models *apps*; unknown ones are ignored."""
        self._models.remove(apps)

    def ready_workers(self, app: AppFunction) -> int:
        """Number of workers that have loaded *app*, of managers that are connected."""
        return self._models.ready_workers(app)

    # Events of the executor, from its threads

    def reporting(self, report: Report) -> Report:
        """Return what reports outcomes of tasks to *report*, and delivers those of calls."""
        return functools.partial(self._on_outcomes, report)

    def _on_outcomes(self, report: Report, outcomes: Sequence[Outcome]) -> None:
        if self._calls:
            calls = [outcome for outcome in outcomes if outcome.id >= FIRST_CALL]
            if calls:
                found = ((self._calls.pop(outcome.id, None), outcome) for outcome in calls)
                self._deliver([Delivery(call.done, outcome) for call, outcome in found if call is not None])
                outcomes = [outcome for outcome in outcomes if outcome.id < FIRST_CALL]
                if not outcomes:
                    return
        report(outcomes)

    def without_pieces(
        self, parcels: Iterable[ResultParcel], ours: Iterable[ResultParcel]
    ) -> tuple[list[ResultParcel], list[ResultParcel]]:
        """Deliver the pieces among *ours*, results of present attempts; return *parcels* and *ours* without them."""
        due: list[Delivery] = []
        pieces: set[int] = set()
        for parcel in ours:
            if parcel[0].kind != ResultKind.PARTIAL:
                continue
            pieces.add(id(parcel[0]))
            if (call := self._calls.get(parcel[0].id)) is not None and call.piece is not None:
                due += self._next_piece(parcel, call, call.piece, due)
        self._deliver(due)
        others = ([parcel for parcel in some if id(parcel[0]) not in pieces] for some in (parcels, ours))
        return next(others), next(others)

    def _next_piece(
        self, parcel: ResultParcel, call: _Call, piece: Callable[[Any], None], due: list[Delivery]
    ) -> list[Delivery]:
        """Return the delivery of a piece; none for one that came before, or breaks the stream."""
        result, frames = parcel
        number, manager = int(result.seconds), self._manager(result.manager)
        # Results come before the news of their manager, where both come in one turn: then its next pieces tell.
        is_moved = bool(call.manager and manager) and manager != call.manager
        if number < call.next_piece and not is_moved:
            return []
        if is_moved or number > call.next_piece or result.blobs:
            how = "its stream began anew on another manager" if is_moved else f"piece {call.next_piece} is missing"
            self._end(result.id, ManagerLost(f"{self._owner.title(result.id)} was cut off: {how}."), due)
            return []
        outcome = outcome_of(msgspec.structs.replace(result, kind=int(ResultKind.VALUE)), frames, self._owner.title)
        if outcome.error is not None:
            self._end(result.id, outcome.error, due)
            return []
        call.next_piece, call.manager = number + 1, manager or call.manager
        return [Delivery(piece, outcome.value)]

    def _end(self, call: TaskId, error: BaseException, due: list[Delivery]) -> None:
        """Stop a call, and report it with *error* after the pieces that are *due*."""
        self._deliver(due)
        due.clear()
        self._owner.cancel([call])
        self._owner.report_held([Outcome(call, None, error)])

    def on_prepared(self, message: Prepared) -> None:
        """Deliver the news of a worker that has loaded a model, or cannot."""
        news = self._models.on_prepared(message, self._manager(message.manager))
        if news is not None:
            self._on_model(news[1])
            self._deliver([Delivery(*news)])

    def on_manager_up(self, info: ManagerInfo) -> None:
        """Send models as source from now on if the workers of this manager cannot load bytecode of the driver."""
        self._models.on_python(info.python)

    def on_held(self, tasks: Mapping[TaskId, HeldTask]) -> None:
        """Stop the calls among *tasks*, which a killed driver left with a manager: who made them has gone with it."""
        calls = {task: held.attempt for task, held in tasks.items() if task >= FIRST_CALL}
        if calls:
            self._client.order(Cancel(calls))

    def on_manager_lost(self, manager: ManagerId) -> None:
        """Count the workers of a manager no more."""
        self._models.on_manager_lost(manager.hex())

    def _manager(self, number: int) -> str:
        place = self._managers.places.get(number)
        return "" if place is None else place.manager

    def _deliver(self, due: list[Delivery]) -> None:
        if due:
            try:
                self.deliver(list(due))
            except Exception:  # the thread brings the results of all others, too
                logger.exception("%d callbacks of calls could not be delivered", len(due))


def call_all(due: list[Delivery]) -> None:
    """Call each callback of *due*; an error of one is logged, and stops no other."""
    for callback, value in due:
        try:
            callback(value)
        except Exception:
            logger.exception("a callback of a call has failed")

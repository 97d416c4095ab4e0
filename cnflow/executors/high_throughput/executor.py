"""Live half of `cnflow.config.HighThroughputExecutor`: runs tasks in worker processes.

Way of a task, and the part that it passes::

    submit ──serializer──> client ──socket──> interchange ──> manager ──> worker
       │                      │                                              │
     held                     └─────on_message(Results)──────────────────────┘
       │
       └──> reported once, by the thread that removes it from `held`: with its result or cancellation, at the loss
            of its manager or of the interchange, or at the end of the run
"""

from __future__ import annotations

import itertools
import logging
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from cnflow.errors import CnflowError, ExecutorClosedError, ManagerLost
from cnflow.executors.high_throughput.adopted_tasks import take_back
from cnflow.executors.high_throughput.arriving_results import ArrivingResults
from cnflow.executors.high_throughput.demand import TaskDemand
from cnflow.executors.high_throughput.direct_calls import DirectCalls
from cnflow.executors.high_throughput.held_tasks import hold, holds, of_present_attempts
from cnflow.executors.high_throughput.interchange_process import interchange_lost_error
from cnflow.executors.high_throughput.places import words_on
from cnflow.executors.high_throughput.refusals import Refusals
from cnflow.ids import FIRST_CALL
from cnflow.model.task import ArgumentUse, Outcome, title_of
from cnflow.wire import messages as msg
from cnflow.wire.bulk import Chunk, Gone, Unreleased, Want
from cnflow.wire.dial_messages import DialFailed
from cnflow.wire.function_messages import Prepared
from cnflow.wire.manager_messages import Events, ManagerHolds, NoWorkers, PoolReport, Samples, StatusReport, TaskReport
from cnflow.wire.parcels import attach_frames
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from cnflow.blocks import Demand
    from cnflow.config import HighThroughputExecutor
    from cnflow.executors.high_throughput.controllers import Controller
    from cnflow.executors.high_throughput.held_tasks import HeldTask
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.interchange_events import News
    from cnflow.executors.high_throughput.introspection import Introspection
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.executors.high_throughput.provisioning import BlockProvisioner
    from cnflow.executors.high_throughput.serialization import TaskSerializer
    from cnflow.executors.high_throughput.task_queue import SerializedTask
    from cnflow.ids import TaskId
    from cnflow.interfaces import Report
    from cnflow.model.status import BlockReport, ExecutorStatus
    from cnflow.model.task import TaskToRun
    from cnflow.wire.messages import ResultParcel

logger = logging.getLogger(__name__)

_FEW = 4
"""Tasks under way up to which the next one is sent by itself, at once; more go faster together."""


class HighThroughputBackend:
    """Runs tasks in worker processes; see `cnflow.interfaces.Executor`. Made by `factory.make_backend`.

    Args:
        settings: what the user wrote.
        serializer: makes bytes of tasks.
        client: carries them to the interchange.
        managers: those that are connected.
        provisioner: starts the interchange and the blocks.
        introspection: answers questions about all these.
    """

    argument_use = ArgumentUse.PACKED

    def __init__(
        self,
        settings: HighThroughputExecutor,
        serializer: TaskSerializer,
        client: InterchangeClient,
        managers: ConnectedManagers,
        provisioner: BlockProvisioner,
        introspection: Introspection,
    ) -> None:
        self.label, self.image = settings.label, settings.image
        self.digest, self.image_now = provisioner.digest, provisioner.image_now
        self.working_dir, self.visible_files = provisioner.places
        self.storage_access = settings.storage_access
        self._serializer = serializer
        self.version_of = serializer.version_of
        self._client = client
        self._bulk = client.bulk
        self.items = serializer.store = client.bulk.items
        self._managers = managers
        self._provisioner = provisioner
        self._adopted = provisioner.adopted_tasks
        self._introspection = introspection
        self._events = provisioner.events
        self.follow_staging = self._events.follow_staging
        self._log_file = provisioner.log_dir / "interchange.log"
        self._lock = threading.Lock()
        """Held while tasks enter or leave `_held`."""
        self._held: dict[TaskId, HeldTask] = {}
        self._events.is_present = lambda task, attempt: holds(self._held, task, attempt)
        """Tasks that are not reported yet, as they were serialized: the user may change the arguments afterwards."""
        self._demand = TaskDemand(settings)
        self._attempts = itertools.count()
        """Numbers for attempts; unique in the executor, so that nothing is kept of tasks that are reported."""
        self._refusals = Refusals(serializer, client.bulk, self._attempts)
        self._arriving = ArrivingResults(client.bulk, managers, self, provisioner.events.on_staging)
        self.direct = DirectCalls(self, serializer, managers, client, provisioner.events.on_model)
        self._cancelled: set[TaskId] = set()
        """Tasks among them that are to be stopped."""
        self._submissions = 0
        """Calls of `submit`: tells idleness from tasks that come and go between two looks."""
        self._finished = 0
        """Tasks that were reported."""
        self._error: CnflowError | None = None
        """Error of every task from now on, once the executor cannot work any more."""
        self._is_closing = False
        self._is_ended = threading.Event()

    def start(self, report: Report) -> None:
        """Begin to start interchange and blocks, in the provisioner's thread."""
        self._report = self.direct.reporting(report)
        if self._adopted is not None:
            self._adopted.start(self)
        self._provisioner.start(self)

    def submit(self, tasks: Sequence[TaskToRun], *, waits: bool = False) -> None:
        """Serialize *tasks* and queue them for the interchange; with *waits* they leave by the client's next `push`."""
        for task in tasks:
            attempt = next(self._attempts)
            try:
                serialized = self._serializer.serialize(task, attempt)
                if serialized[1][1]:
                    serialized = self._bulk.packed(serialized)
                if serialized[1][0].items:
                    self.items.on_task(task.id, attempt, serialized[1][0].items)
            except CnflowError as error:
                self._report([Outcome(task.id, None, error)])
                continue
            with self._lock:
                error_of_all = self._error
                if error_of_all is None:
                    self._held[task.id] = hold(task, serialized, attempt)
                    if task.options.resources is not None or task.batch is not None:
                        self._demand.on_submitted(task)
                    # Under the lock, so that a cancellation of a held task finds it on its way.
                    if self._adopted is None or task.id >= FIRST_CALL or not self._adopted.take(serialized):
                        self._client.put(serialized)
            if not waits:  # without the lock: the client's thread, which this may wake, wants it for the next results
                self._client.push(at_once=len(self._held) <= _FEW)
            if error_of_all is not None:
                self._bulk.release([(task.id, attempt)])
                self._report([Outcome(task.id, None, error_of_all)])
        self._submissions += 1
        self._provisioner.on_submitted(len(self._held))

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Take back tasks that have not left the driver, and order the others to be stopped where they are."""
        with self._lock:
            ours = {task: self._held[task].attempt for task in tasks if task in self._held}
            self._cancelled.update(ours)
        if ours:
            stopped = [*take_back(ours, self._client, self._adopted), *self._arriving.cancel(ours)]
            self.report_held(Outcome(task, None, CancelledError()) for task in stopped)

    def shutdown(self) -> None:
        """End interchange, managers and blocks; report unfinished tasks with ExecutorClosedError.

        A second call waits for the first, unless the first waits for its thread: a callback of a task that it fails.
        """
        with self._lock:
            is_second, self._is_closing = self._is_closing, True
            if not is_second:
                self._ending_thread = threading.current_thread()
        if is_second:
            if threading.current_thread() not in {self._ending_thread, self._client.thread, self._provisioner.thread}:
                self._is_ended.wait()
            return
        try:
            self._provisioner.close()
            self._managers.close()
            with self._lock:
                self._error = self._error or ExecutorClosedError(f"Executor {self.label!r} has been shut down.")
            self._fail_all(lambda task: ExecutorClosedError(f"{task} was not finished when the run ended."))
            if self._adopted is not None:
                self._adopted.close()
            self.items.close(f"the run of executor {self.label!r}")
            self._client.stop()  # first, so that managers end in good order instead of by their provider's signal
            self._provisioner.stop_blocks()
            self._provisioner.join()
        finally:
            self._events.close()
            self._is_ended.set()

    # Questions, from any thread

    def status(self) -> ExecutorStatus:
        """Blocks as the provider reports them, managers and workers as the interchange does."""
        return self._introspection.status()

    def outstanding(self) -> int:
        """Number of tasks that wait or run."""
        return len(self._held)

    @property
    def connected_workers(self) -> int:
        """Number of workers of the connected managers."""
        return self._managers.workers

    def connected_blocks(self) -> list[str]:
        """Ids of the blocks of which a manager has ever connected, including blocks that ended since."""
        return self._managers.blocks

    def connected_managers(self) -> list[dict[str, Any]]:
        """See `cnflow.executors.high_throughput.introspection`."""
        return self._introspection.connected_managers()

    def hold_worker(self, manager_id: str) -> None:
        """Send no more tasks to the manager of that id; it ends those that it has. UnknownNameError: there is none."""
        self._introspection.hold_worker(manager_id)

    def block_reports(self) -> list[BlockReport]:
        """Every block, including those that are requested and not started yet."""
        return self._introspection.block_reports()

    def explain_task(self, task: TaskId) -> list[str]:
        """See `cnflow.interfaces.Introspectable`."""
        return self._arriving.explain(task) or self._introspection.explain_task(task) if task in self._held else []

    def drain_block(self, block: str) -> None:
        """See `cnflow.interfaces.introspection.DrainsBlocks`."""
        self._introspection.drain_block(block)

    # Events, from the client's and the provisioner's thread

    def on_message(self, message: msg.ToDriver, attached: list[Any]) -> None:
        """Handle a message of the interchange."""
        if isinstance(message, msg.Results):
            parcels = attach_frames(message.results, attached)
            self.on_results(parcels if self._adopted is None else self._adopted.renamed(parcels))
        elif isinstance(message, Unreleased) and self._adopted is not None:
            pass  # a result that no task waits for yet may serve the next one: its blobs stay until the run ends
        elif isinstance(message, (Want, Chunk, Gone, Unreleased)):
            self._arriving.report(self._bulk.on_message(message, attached), self._held)
        elif isinstance(message, Prepared):
            self.direct.on_prepared(message)
        else:
            self._on_news(message)

    def _on_news(self, message: News) -> None:
        self._events.on_message(message)
        controller = self._provisioner.controller
        match message:
            case ManagerHolds(manager, tasks) if self._adopted is not None:
                self.direct.on_held(tasks)
                self._adopted.on_held(manager, tasks)
            case msg.ManagerUp(manager, info):
                self._demand.on_node(info)
                self.direct.on_manager_up(info)
                if self._managers.on_connected(manager, info, message.number) and controller is not None:
                    controller.on_manager_connected(info.block, info.slots, info.node_rank, info.host)
            case msg.ManagerDown():
                self._on_manager_lost(message, controller)
            case msg.Drained() | msg.BlockEmpty() | msg.IdleTimes() | NoWorkers():
                self._provisioner.on_news(message)
            case DialFailed():
                self._provisioner.way.on_dial_failed(message)
            case StatusReport() | TaskReport():
                self._managers.on_answer(message)
            case msg.Bound() | msg.Heartbeat() | Events() | Samples() | PoolReport() | Prepared() | ManagerHolds():
                pass  # for the client, for sinks

    def on_results(self, parcels: Iterable[ResultParcel]) -> None:
        """Report the results of present attempts once all their parts are here, and drop all others."""
        parcels = list(parcels)
        ours = of_present_attempts(parcels, self._held)
        kinds = {result.kind for result, _ in ours}
        if ResultKind.PARTIAL in kinds:
            parcels, ours = self.direct.without_pieces(parcels, ours)
        if ResultKind.REFUSED in kinds:
            ours, failed = self._refusals.send_as_source(ours, self._held, self)
            self.report_held(failed)
        self._arriving.on_results(parcels, ours, self._held)

    def replace_held(self, task: TaskId, held: HeldTask, again: HeldTask, sent: SerializedTask) -> bool:
        """Send *task*, which was *held*, *again*; False if it is not wanted any more."""
        with self._lock:
            is_wanted = self._held.get(task) is held and task not in self._cancelled
            if is_wanted:
                self._held[task] = again
                self._client.send(sent)
        return is_wanted

    def send_held(self, tasks: Iterable[TaskId]) -> None:
        """Send tasks to the interchange that waited for those of a killed driver; cancelled ones are reported."""
        cancelled: list[TaskId] = []
        with self._lock:
            for task in tasks:
                if task in self._cancelled:
                    cancelled.append(task)
                elif task in self._held:
                    self._client.send(self._held[task].serialized(self._serializer))
        self.report_held(Outcome(task, None, CancelledError()) for task in cancelled)

    def _on_manager_lost(self, lost: msg.ManagerDown, controller: Controller | None) -> None:
        if self._adopted is not None:
            self._adopted.on_manager_lost(lost.id)
        if (info := self._managers.on_lost(lost.id)) is None:
            return
        self.direct.on_manager_lost(lost.id)
        held = [task for task, attempt in lost.lost.items() if holds(self._held, task, attempt)]
        held += self._arriving.on_manager_lost(lost.id, lost.reason)
        self.report_held(self.outcome_of_lost(task, words_on(lost.id, info), lost.reason) for task in held)
        if controller is not None:
            controller.on_manager_lost(info.block, info.slots)

    def on_interchange_lost(self, how: str) -> None:
        """Fail every task: the interchange is not started again."""
        self._events.on_interchange("lost", how)
        self.on_failure(interchange_lost_error(self.label, how, self._log_file))

    def on_failure(self, error: CnflowError) -> None:
        """Fail every task with *error*, those submitted already and those to come."""
        if not self._is_closing:
            logger.error("executor %s cannot go on: %s", self.label, error)
        with self._lock:
            self._error = error
        self._provisioner.stop_blocks()
        self._fail_all(lambda _: error)
        self.items.on_interchange_lost(str(error))

    def demand(self) -> Demand:
        """Tasks that are not reported, and what they need."""
        with self._lock:
            return self._demand.of(len(self._held), self._submissions, self._finished)

    def unfinished(self) -> Iterator[SerializedTask]:
        """Every task that is not reported, as it was serialized, for an interchange that was restarted."""
        self._events.on_interchange("restarted")
        with self._lock:
            self._client.clear()
            tasks = list(self._held.items())
            self._client.order(msg.Cancel({task: self._held[task].attempt for task in self._cancelled}))
        for task, held in tasks:
            is_served = self._adopted is not None and self._adopted.is_served(task)
            is_present = self._held.get(task) is held  # neither reported since, nor on another attempt
            if is_present and not is_served and not self._arriving.is_arriving(task):
                yield held.serialized(self._serializer)

    # Outcomes, from any thread

    def title(self, task: TaskId) -> str:
        """Title of *task* in messages."""
        held = self._held.get(task)
        return title_of(task, held.function.name if held else "?")

    def outcome_of_lost(self, task: TaskId, where: str, reason: str) -> Outcome:
        """Outcome of a task that was on a manager, or whose result was."""
        if task in self._cancelled:
            return Outcome(task, None, CancelledError())
        return Outcome(task, None, ManagerLost(f"{self.title(task)} was on {where}: {reason}."))

    def report_held(self, outcomes: Iterable[Outcome]) -> None:
        """Report the outcomes of tasks that are still held, and drop the others: their tasks were reported before."""
        ready = list(outcomes)
        with self._lock:
            popped = [(outcome, self._held.pop(outcome.id, None)) for outcome in ready]
            ours = [outcome for outcome, held in popped if held is not None]
            self._demand.on_reported(ours)
            self._finished += len(ours)
            if self._cancelled:
                self._cancelled.difference_update(outcome.id for outcome in ours)
        if self._bulk.has_arguments:
            self._bulk.release([(outcome.id, held.attempt) for outcome, held in popped if held is not None])
        for outcome, held in popped:
            if held is None and outcome.items:
                self.items.release_all(outcome.items)
        if ours:
            self._report(ours)

    def _fail_all(self, error_for: Callable[[str], CnflowError]) -> None:
        """Report every held task with the error that *error_for* makes from its title."""
        with self._lock:
            held, self._held = self._held, {}
            self._demand.clear()
        self._arriving.cancel(held)
        self._client.cancel({task: each.attempt for task, each in held.items()})  # a pool would run them all the same
        self._bulk.release([(task, each.attempt) for task, each in held.items()])
        if held:
            titles = {task: title_of(task, each.function.name) for task, each in held.items()}
            self._report([Outcome(task, None, error_for(title)) for task, title in titles.items()])

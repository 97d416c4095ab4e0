"""Moves bytes between the interchange, the workers and the manager's state machine.

::

    run ─> start workers ─> connect, register ─> serve ─────────────────────────────────> end all workers, exit
                                                   │
        each round:  wait for a message, a worker's pipe, a worker's exit, a signal or the next deadline
                     shutdown stage -> messages of the interchange -> workers -> deadlines -> dispatch -> send results

        ends when    it is drained ─ ordered to stop ─ the last stage of a shutdown is over       exit code 0
                     the interchange is silent, refuses it or sends malformed messages,
                     or workers die as they start                                           exit code 1, or 4

    leaving:  [Draining ──> Drain in reply: no task is on its way] ── Leaving ──> all results delivered, end

An interchange that was restarted asks each manager to register again, with the tasks that it holds and the results that
the driver may not have.
"""

from __future__ import annotations

import logging
import math
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from cnflow.ids import WorkerRank
from cnflow.manager import actions
from cnflow.manager.awaited_parts import AwaitedParts
from cnflow.manager.blob_cache import BlobCache, cache_limit
from cnflow.manager.bulk_link import BulkLink
from cnflow.manager.ended_tasks import EndedTasks, sent_again
from cnflow.manager.incomplete_tasks import IncompleteTasks
from cnflow.manager.interchange_link import InterchangeLink
from cnflow.manager.items.node_items import NodeItems
from cnflow.manager.items.peers import Peers
from cnflow.manager.node import hardware
from cnflow.manager.node.oom import OomWatch
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.registration import manager_info, place_of, worker_minor
from cnflow.manager.reports import Reports
from cnflow.manager.shutdown import Stage
from cnflow.manager.shutdown_signals import ShutdownWatch
from cnflow.manager.state import Manager
from cnflow.manager.workers.codec import decode_result, encode_action
from cnflow.manager.workers.ending import end_workers
from cnflow.manager.workers.polled import PolledWorkers
from cnflow.manager.workers.process import OutOfProcessesError, WorkerProcess
from cnflow.model.manager_settings import NO_WORKER_STARTS
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.blob_frames import in_batches
from cnflow.wire.bulk import Release, Unreleased
from cnflow.wire.function_messages import Prepare
from cnflow.wire.lateness import Lateness
from cnflow.wire.manager_messages import Holding, TaskQuery, TaskReport
from cnflow.wire.parcels import attach_frames, detach_frames
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.clock import Clock
    from cnflow.ids import TaskId
    from cnflow.manager.workers.factory import WorkerFactory
    from cnflow.model.manager_settings import ManagerSettings

logger = logging.getLogger(__name__)

_LAST_WORDS = Seconds(1.0)
"""Time for the last results after stage CUT; a part of the margin before the block's end."""

_ALONE = 10.0
"""Time without a connection after which a manager that is to end, and holds nothing, waits for no reply."""

_LINGER = 0.5
"""Seconds for messages that are not acknowledged when the manager ends."""


class Loop:
    """Waits for events, passes them to the state machine and carries out its actions.

    Args:
        settings: of the manager.
        factory: starts the workers; some may be running already.
        clock: measures heartbeats and deadlines.
    """

    def __init__(self, settings: ManagerSettings, factory: WorkerFactory, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._factory = factory
        arguments = IncompleteTasks(BlobCache(cache_limit(hardware.memory_bytes())))
        patience = Seconds(settings.longest_silence)
        self._items = NodeItems(factory.area, factory.manager_id, patience)
        incomplete = AwaitedParts(arguments, self._items.tasks)
        self._prefetch = Prefetch(settings.prefetch, settings.max_tasks)
        minor, accelerators = worker_minor(settings), len(settings.available_accelerators)
        self._state = Manager(factory.slots, self._prefetch, minor, place_of(settings), accelerators, incomplete)
        self._state.ended = EndedTasks() if settings.adoptable_for else None
        self._oom = OomWatch()
        self._shutdown = ShutdownWatch.from_settings(settings, self._clock.now())
        self._poller = sockets.Poller()
        self._workers = PolledWorkers(self._poller)
        is_open = settings.serves_nodes and bool(settings.server_key)
        peers = Peers(factory.manager_id, self._poller, is_open=is_open)
        self._bulk = BulkLink(factory.manager_id, self._poller, arguments, self._items, peers, patience)
        self._link = InterchangeLink(settings, factory.manager_id, self._poller, self._clock.now(), self._bulk)
        parts = self._state, self._workers, self._items.tasks
        self._reports = Reports(factory.manager_id, socket.gethostname(), settings, *parts)
        self._windows = 0, 0
        self._awaits_drain = self._is_leaving = self._ever_left = False
        """Draining was sent, and Drain has not come back; Leaving was sent; and it was sent to this or a former one."""

        self._end_by = Seconds(math.inf)
        self._is_running = True
        self._exitcode = 0

    def run(self) -> int:
        """Serve until the manager is drained, ordered to stop, or cannot continue; end all workers then.

        Returns:
            Exit code: 0 after an orderly end, 1 when the manager could not continue, or `NO_WORKER_STARTS`.

        Raises:
            UnreachableError: no address of the interchange accepts a connection.
        """
        self._poller.register(self._shutdown.install(), sockets.READABLE)
        self._apply(self._state.on_start())
        try:
            self._link.open()
            self._link.send(self._registration({}), (), self._clock.now())
            self._serve()
        finally:
            end_workers(self._workers, self._is_idle)
            self._bulk.close()
            self._link.close(0.0 if self._link.is_all_delivered else _LINGER)
        return self._exitcode

    def _is_idle(self, worker: WorkerProcess) -> bool:
        return self._state.workers.is_idle(WorkerRank(worker.rank))

    def _registration(self, held: dict[TaskId, int]) -> msg.Register:
        left = self._shutdown.seconds_left(self._clock.now())
        info = manager_info(self._settings, self._state.slots, self._shutdown.life, left)
        return msg.Register(info, held, self._state.stopping())

    @property
    def _next_deadline(self) -> Seconds:
        due = min(self._state.next_deadline, self._shutdown.next_step_at, self._link.next_deadline, self._end_by)
        due = min(due, self._bulk.next_deadline)
        return min(due, self._reports.next_deadline)

    def _serve(self) -> None:
        lateness = Lateness(self._clock.now(), self._settings.heartbeat_period)
        while self._is_running:
            due = self._next_deadline
            ready = dict(self._poller.poll(int(max(0.0, due - self._clock.now()) * 1000) + 1))
            now = self._clock.now()
            if late := lateness.on_turn(now, due):
                self._link.on_late(late)
            self._follow_shutdown(now)
            self._link.receive(ready, self._on_message, now)
            if self._bulk.receive(ready, now):
                self._state.on_blobs()
            for worker, source, events in self._workers.ready(ready):
                self._read_worker(worker, source, events, now)
            if now >= self._state.next_deadline:
                self._apply(self._state.on_tick(now))
            self._apply(self._state.dispatch(now))
            self._drop_unwanted(now)
            self._send_events(now)  # before the last results, after which a run may end
            self._send_results(now)
            self._bulk.flush(now)
            if self._is_running:
                self._link.on_tick(now)
            if self._link.failure:
                self._fail(self._link.failure)
            self._leave_if_done(now)

    def _drop_unwanted(self, now: Seconds) -> None:
        """Drop results that the driver does not fetch if only they keep this manager from working, or leaving."""
        if not self._bulk.keeps:
            return
        self._bulk.is_last = self._state.is_drained
        if unwanted := self._bulk.take_unwanted(now):
            logger.warning(
                "dropped %d parts of results, files or values that nobody has fetched for long", len(unwanted)
            )
            self._release(unwanted)

    def _release(self, blobs: list[bytes]) -> None:
        self._bulk.release(blobs)
        if self._state.ended is not None:
            self._state.ended.on_released(blobs)

    def _leave_if_done(self, now: Seconds) -> None:
        is_empty = self._state.is_drained and not self._bulk.keeps
        if is_empty and not self._awaits_drain:
            self._leave("its block is drained")
        if self._shutdown.stage >= Stage.ENDING and is_empty and self._link.is_alone(now, _ALONE):
            logger.warning("ending without a word to the interchange, which is gone; nothing is left here")
            self._is_running = False
        has_left = self._is_leaving and self._link.is_all_delivered and not self._bulk.keeps
        if now >= self._end_by or has_left:
            self._is_running = False

    def _on_message(self, message: msg.ToManager, attached: Sequence[Any], now: Seconds) -> None:
        if isinstance(message, msg.Work):
            self._on_work(message, attached, now)
        elif isinstance(message, msg.Cancel):
            self._apply(self._state.on_cancel(message.tasks, now))
        elif isinstance(message, msg.Drain):
            self._awaits_drain = False
            self._state.on_drain()
        elif isinstance(message, Release):
            self._release(message.blobs)
        elif isinstance(message, Prepare):
            self._state.models.on_prepare(message.functions)
        elif isinstance(message, TaskQuery):
            self._link.send(TaskReport(message.number, *self._state.workers.worker_of(message.task, now)), (), now)
        elif isinstance(message, msg.RegisterAgain):
            self._register_again(now, is_adoption=message.is_adoption)
        elif isinstance(message, msg.Refused) and not self._ever_left:
            self._fail(f"refused by the interchange: {message.reason}")
        elif isinstance(message, (msg.Refused, msg.Stop)):
            self._is_running = False

    def _on_work(self, work: msg.Work, attached: Sequence[Any], now: Seconds) -> None:
        if work.forgets:
            self._state.forget_functions()
        self._state.on_work(work.functions, attach_frames(work.tasks, attached))
        if self._prefetch.is_exhausted and not self._state.is_draining:
            self._send_draining(now)  # before the result, so that no task follows it
            self._state.on_drain()

    def _register_again(self, now: Seconds, *, is_adoption: bool) -> None:
        """Register again with an interchange that does not know this manager: it was restarted, or is another's."""
        logger.warning("%s; registering again", "another driver" if is_adoption else "the interchange was restarted")
        self._send_results(now)
        if self._state.ended is not None:  # else a driver would wait for a result that is not sent again
            self._state.ended.on_delivered(self._link.delivered)
        held, unfetched = sent_again(self._link.unacknowledged_results(), self._state.ended, is_adoption=is_adoption)
        holding = Holding(self._state.identities()) if is_adoption else None
        self._link.begin_session(self._registration({**held, **self._state.held()}), now, holding, unfetched)
        if self._state.ended is not None:
            self._state.ended.on_new_session(self._link.sent)
        if self._bulk.keeps:
            self._link.send(Unreleased(self._factory.manager_id, self._bulk.kept()), (), now)
        if self._state.is_draining:
            self._send_draining(now)
        if self._is_leaving and self._state.is_draining:
            self._is_leaving = False  # not before its reply: tasks of the new interchange may be on their way
        elif self._is_leaving:
            self._link.send(msg.Leaving("it has finished"), (), now)
        self._windows = -1, 0  # the new interchange does not know it

    def _read_worker(self, worker: WorkerProcess, source: object, events: int, now: Seconds) -> None:
        rank = WorkerRank(worker.rank)
        if events & sockets.WRITABLE:
            self._workers.flush(worker)
        exitcode = worker.exitcode() if worker.may_have_ended(source) else None
        if exitcode is not None:
            self._follow_shutdown(now)
            if not self._workers.has(worker):
                return
        records = worker.read_records(to_the_end=exitcode is not None)  # results from before its end count
        records = self._items.left.on_records(self._reports.on_records(worker, records))
        if records and records[0].type == ResultKind.READY:
            records = records[1:]
            self._state.on_worker_ready(rank)
        records = self._state.models.on_records(rank, records)
        if records:
            max_bytes = self._settings.largest_result
            self._state.on_results(rank, [decode_result(record, max_bytes) for record in records], now, time.time())
            if self._state.workers.is_idle(rank):
                worker.clear_tail()
        if exitcode is not None:
            self._on_worker_exit(worker, exitcode)
        else:
            worker.forward_output()  # after the results: unmarked output is of the task that runs now
            self._workers.unregister_closed_ends(worker)

    def _on_worker_exit(self, worker: WorkerProcess, exitcode: int) -> None:
        worker.forward_output()
        self._workers.remove(worker)
        worker.close()
        worker.signal_session(signal.SIGKILL)  # processes that its task started and left behind
        self._items.on_worker_exit(worker.pid, exitcode)
        rank = WorkerRank(worker.rank)
        cause = self._oom.take_cause() if exitcode == -signal.SIGKILL else ""
        logger.warning("worker %d ended with exit code %d%s", rank, exitcode, cause and f", {cause}")
        self._reports.on_exit(worker, exitcode, cause)
        self._apply(self._state.on_worker_exit(rank, exitcode, worker.tail(), cause))

    def _apply(self, orders: list[actions.Action]) -> None:
        touched: dict[WorkerRank, WorkerProcess] = {}
        for action in orders:
            if isinstance(action, actions.StartWorker):
                self._start(action.rank)
            elif isinstance(action, actions.StopTask):
                self._workers[action.rank].stop_task(action.number)
            elif isinstance(action, actions.KillWorker):
                logger.warning("worker %d did not stop its task, or load its model, in time; killed", action.rank)
                self._workers[action.rank].signal_session(signal.SIGKILL)
            elif isinstance(action, actions.RestartWorker):
                logger.info("worker %d is restarted, to see other accelerators", action.rank)
                self._workers[action.rank].signal_session(signal.SIGKILL)
            elif isinstance(action, actions.Quit):
                logger.error("cannot continue: %s", action.reason)
                self._exitcode = NO_WORKER_STARTS
                self._leave(action.reason)
            else:
                worker = touched[action.rank] = self._workers[action.rank]
                worker.has_worked |= isinstance(action, actions.LoadModel)  # the model may have to be torn down
                worker.write(encode_action(action))
        for worker in touched.values():
            self._workers.flush(worker)
        if touched:
            self._reports.on_work()

    def _start(self, rank: WorkerRank) -> None:
        try:
            worker = self._factory.start(rank, self._state.visible_accelerators(rank))
        except OutOfProcessesError as error:
            logger.warning("worker %d cannot be started now: %s", rank, error)
            self._apply(self._state.on_start_failed(rank, str(error), self._clock.now()))
            return
        worker.running = lambda: self._state.running(rank)
        self._workers.add(worker)
        if self._reports.order:
            worker.write(self._reports.order)
            self._workers.flush(worker)

    def _send_results(self, now: Seconds) -> None:
        is_full = self._link.is_full or self._bulk.results.is_full
        for prepared in self._state.models.take_replies():
            self._link.send(prepared, (), now)
        results, windows = self._state.take_results(), (0, 0) if is_full else (self._state.window, self._state.calls)
        if not results and windows == self._windows:
            return
        self._windows = windows
        offer, attach = self._bulk.results.offer, self._items.attach
        is_piece = ResultKind.PARTIAL.__eq__  # whose large parts do not travel apart
        parcels = [each if is_piece(each[0].kind) else attach(offer(each, now), now) for each in results]
        for batch in in_batches(parcels):
            heads, attached = detach_frames(batch)
            self._link.send(msg.Done(windows[0], heads, windows[1]), attached, now)
        if self._state.ended is not None:
            self._state.ended.on_sent(self._link.sent, parcels)
            self._state.ended.on_delivered(self._link.delivered)

    def _send_events(self, now: Seconds) -> None:
        for message in self._reports.take(now, is_full=self._link.is_full):
            self._link.send(message, (), now)

    def _send_draining(self, now: Seconds) -> None:
        self._awaits_drain = True
        stage = max(self._shutdown.stage, Stage.DRAINING)
        self._link.send(msg.Draining(stage.name.lower()), (), now)

    def _leave(self, reason: str) -> None:
        """Send the last messages, and end once they have arrived."""
        if self._is_leaving:
            return
        logger.info("ending: %s", reason)
        now = self._clock.now()
        self._is_leaving = self._ever_left = True
        self._send_results(now)
        self._link.send(msg.Leaving(reason), (), now)
        self._end_by = min(self._end_by, Seconds(now + self._settings.heartbeat_threshold))

    def _fail(self, reason: str) -> None:
        logger.error("cannot continue: %s", reason)
        self._exitcode = 1
        self._is_running = False

    def _follow_shutdown(self, now: Seconds) -> None:
        """Take the next step of a shutdown if it is due.

        Called before a worker's exit is handled: a signal to the manager often reaches its workers as well, and then
        their exits are no failures.
        """
        stage = self._shutdown.poll(now)
        if stage is None:
            return
        logger.info("now %s, with %d tasks", stage.name.lower(), len(self._state.held()))
        self._send_draining(now)
        if stage is Stage.DRAINING:
            self._state.on_drain()
            return
        self._state.on_ending()
        if stage is Stage.CUT:
            end_workers(self._workers, self._is_idle, 0.5)  # before a task is returned: it runs once at a time
            self._workers.clear()
            self._state.on_cut()
            self._end_by = Seconds(self._clock.now() + _LAST_WORDS)

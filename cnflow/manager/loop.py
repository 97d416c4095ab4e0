"""Moves bytes between the interchange, the workers and the manager's state machine.

::

    run ─> start workers ─> connect, register ─> serve ─────────────────────────────────> end all workers, exit
                                                   │
        each round:  wait for a message, a worker's pipe, a worker's exit, a signal or the next deadline
                     shutdown stage -> messages of the interchange -> workers -> deadlines -> dispatch -> send results

        ends when    it is drained ─ ordered to stop ─ the last stage of a shutdown is over       exit code 0
                     the interchange is silent, refuses it or sends malformed messages,
                     or workers die as they start                                                 exit code 1

An interchange that was restarted asks each manager to register again, with the tasks that it holds.
"""

from __future__ import annotations

import logging
import signal
import socket
from typing import TYPE_CHECKING, Any

from cnflow.ids import TaskId, WorkerRank
from cnflow.manager import actions
from cnflow.manager.node.oom import OomWatch
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.registration import find_endpoint, manager_info
from cnflow.manager.sent_results import SentResults
from cnflow.manager.shutdown import Stage
from cnflow.manager.shutdown_signals import ShutdownWatch
from cnflow.manager.state import Manager
from cnflow.manager.workers.codec import decode_result, encode_action
from cnflow.manager.workers.process import OutOfProcessesError, WorkerProcess, end_workers
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.manager_messages import TaskQuery, TaskReport
from cnflow.wire.peer_limits import MalformedMessageLimit
from cnflow.wire.pipe import ResultKind
from cnflow.wire.serialization import MINOR

if TYPE_CHECKING:
    from cnflow.clock import Clock
    from cnflow.manager.workers.factory import WorkerFactory
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)


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
        image = f"image {settings.image}, " if settings.image else ""
        where = f"{image}host {socket.gethostname()}, block {settings.block}"
        accelerators = len(settings.available_accelerators)
        self._state = Manager(factory.slots, Prefetch(settings.prefetch), MINOR, where, accelerators)
        self._workers: dict[WorkerRank, WorkerProcess] = {}
        self._by_source: dict[Any, WorkerProcess] = {}
        self._oom = OomWatch()
        self._shutdown = ShutdownWatch.from_settings(settings, self._clock.now())
        self._poller = sockets.Poller()
        self._window, self._session = 0, b""
        self._sent, self._malformed = SentResults(), MalformedMessageLimit()
        self._is_running = True
        self._exitcode = 0

    def run(self) -> int:
        """Serve until the manager is drained, ordered to stop, or cannot continue; end all workers then.

        Returns:
            Exit code: 0 after an orderly end, 1 when the manager could not continue.

        Raises:
            UnreachableError: no address of the interchange accepts a connection.
        """
        self._poller.register(self._shutdown.install(), sockets.READABLE)
        self._apply(self._state.on_start())
        try:
            self._connect()
            self._serve()
        finally:
            end_workers(self._workers.values())
            if self._malformed.total:
                logger.warning("malformed messages in all: %d", self._malformed.total)
        return self._exitcode

    def _connect(self) -> None:
        settings, endpoint = self._settings, find_endpoint(self._settings)
        curve = (settings.server_key, settings.public_key, settings.secret_key) if settings.server_key else None
        self._context = sockets.new_context()
        self._interchange = sockets.connect_dealer(self._context, endpoint, self._factory.manager_id, curve)
        self._poller.register(self._interchange.raw, sockets.READABLE)
        self._register({})

    def _register(self, held: dict[TaskId, int]) -> None:
        info = manager_info(self._settings, self._state.slots, self._shutdown.seconds_left(self._clock.now()))
        self._interchange.send([msg.encode(msg.Register(info, held))])

    def _serve(self) -> None:
        period, threshold = self._settings.heartbeat_period, self._settings.heartbeat_threshold
        last_received = last_sent = self._clock.now()
        while self._is_running:
            deadlines = (self._state.next_deadline, self._shutdown.next_step_at)
            due = min(last_sent + period, last_received + threshold, *deadlines)
            ready = dict(self._poller.poll(int(max(0.0, due - self._clock.now()) * 1000) + 1))
            now = self._clock.now()
            self._follow_shutdown(now)
            if self._interchange.raw in ready:
                last_received = now
                self._read_interchange(now)
            for source, events in ready.items():
                if source in self._by_source:
                    self._read_worker(self._by_source[source], events, now)
            if now >= self._state.next_deadline:
                self._apply(self._state.on_tick(now))
            self._apply(self._state.dispatch(now))
            if self._send_results():
                last_sent = now
            elif now - last_sent >= period:
                self._interchange.send([msg.encode(msg.Heartbeat())])
                last_sent = now
            if now - last_received >= threshold:
                self._fail(f"the interchange was silent for {now - last_received:.0f} s")
            if self._state.is_drained:
                self._leave("its block is drained")
        self._interchange.close(1.0)
        self._context.term()

    def _read_interchange(self, now: Seconds) -> None:
        for head, *attached in self._interchange.receive():
            try:
                self._on_message(msg.decode_to_manager(head), attached, now)
            except msg.MALFORMED as error:
                if self._malformed.on_malformed("interchange", now):
                    logger.warning("dropped a malformed message of the interchange: %s", error)
                if self._malformed.is_ignored("interchange", now):
                    self._fail("the interchange sent too many malformed messages")
                    return

    def _on_message(self, message: msg.ToManager, attached: list[Any], now: Seconds) -> None:
        if isinstance(message, msg.Work):
            self._state.on_work(message.functions, msg.attach_frames(message.tasks, attached))
        elif isinstance(message, msg.Cancel):
            self._apply(self._state.on_cancel(message.tasks, now))
        elif isinstance(message, msg.Drain):
            self._state.on_drain()
        elif isinstance(message, TaskQuery):
            self._interchange.send([msg.encode(TaskReport(message.number, *self._state.worker_of(message.task, now)))])
        elif isinstance(message, msg.RegisterAgain):
            self._register_again(message.session)
        elif isinstance(message, msg.Refused):
            self._fail(f"refused by the interchange: {message.reason}")
        elif isinstance(message, msg.Stop):
            self._is_running = False

    def _register_again(self, session: bytes) -> None:
        """Register again with a restarted interchange, which repeats its request until it receives an answer."""
        if session == self._session:
            return
        self._session = session
        logger.warning("the interchange was restarted; registering again")
        self._send_results()  # ended tasks are no longer among those held
        self._interchange.send([msg.encode(msg.Done(0, self._sent.values()))])
        self._register(self._state.held())
        if self._shutdown.stage is not Stage.WORKING:
            self._interchange.send([msg.encode(msg.Draining(self._shutdown.stage.name.lower()))])
        self._window = -1  # the new interchange does not know it

    def _read_worker(self, worker: WorkerProcess, events: int, now: Seconds) -> None:
        rank = WorkerRank(worker.rank)
        if self._workers.get(rank) is not worker:
            return  # replaced while this round's events were handled
        if events & sockets.WRITABLE:
            self._flush(worker)
        exitcode = worker.exitcode()
        if exitcode is not None:
            self._follow_shutdown(now)
            if rank not in self._workers:
                return
        worker.forward_output()
        records = worker.read_records(to_the_end=exitcode is not None)  # results from before its end count
        if records and records[0].type == ResultKind.READY:
            records = records[1:]
            self._state.on_worker_ready(rank)
        if records:
            max_bytes = self._settings.largest_result
            self._state.on_results(rank, [decode_result(record, max_bytes) for record in records], now)
            if self._state.is_idle(rank):
                worker.clear_tail()
        if exitcode is not None:
            self._on_worker_exit(worker, exitcode)
        else:
            self._unregister_closed_ends(worker)

    def _unregister_closed_ends(self, worker: WorkerProcess) -> None:
        for closed, source in ((worker.socket_closed, worker.socket.fileno()), (worker.output_closed, worker.output)):
            if closed and source in self._by_source:
                self._poller.unregister(source)
                del self._by_source[source]

    def _on_worker_exit(self, worker: WorkerProcess, exitcode: int) -> None:
        worker.forward_output()
        for source in self._sources(worker):
            if source in self._by_source:
                self._poller.unregister(source)
                del self._by_source[source]
        worker.close()
        worker.signal_session(signal.SIGKILL)  # processes that its task started and left behind
        rank = WorkerRank(worker.rank)
        cause = self._oom.take_cause() if exitcode == -signal.SIGKILL else ""
        logger.warning("worker %d ended with exit code %d%s", rank, exitcode, cause and f", {cause}")
        del self._workers[rank]
        self._apply(self._state.on_worker_exit(rank, exitcode, worker.tail(), cause))

    def _apply(self, orders: list[actions.Action]) -> None:
        touched: dict[WorkerRank, WorkerProcess] = {}
        for action in orders:
            if isinstance(action, actions.StartWorker):
                self._start(action.rank)
            elif isinstance(action, actions.StopTask):
                self._workers[action.rank].stop_task(action.number)
            elif isinstance(action, actions.KillWorker):
                logger.warning("worker %d did not stop its task in time; killed", action.rank)
                self._workers[action.rank].signal_session(signal.SIGKILL)
            elif isinstance(action, actions.RestartWorker):
                logger.info("worker %d is restarted, to see other accelerators", action.rank)
                self._workers[action.rank].signal_session(signal.SIGKILL)
            elif isinstance(action, actions.Quit):
                self._leave(action.reason)
                self._fail(action.reason)
            else:
                worker = touched[action.rank] = self._workers[action.rank]
                worker.write(encode_action(action))
        for worker in touched.values():
            self._flush(worker)

    def _start(self, rank: WorkerRank) -> None:
        try:
            worker = self._factory.start(rank, self._state.visible_accelerators(rank))
        except OutOfProcessesError as error:
            logger.warning("worker %d cannot be started now: %s", rank, error)
            self._apply(self._state.on_start_failed(rank, str(error), self._clock.now()))
            return
        self._workers[rank] = worker
        for source in self._sources(worker):
            self._by_source[source] = worker
            self._poller.register(source, sockets.READABLE)

    @staticmethod
    def _sources(worker: WorkerProcess) -> list[int]:
        return [fd for fd in (worker.socket.fileno(), worker.output, worker.pidfd) if fd is not None]

    def _flush(self, worker: WorkerProcess) -> None:
        worker.flush()
        events = sockets.READABLE | sockets.WRITABLE if worker.has_unsent else sockets.READABLE
        if worker.socket.fileno() in self._by_source:
            self._poller.modify(worker.socket.fileno(), events)

    def _send_results(self) -> bool:
        results, window = self._state.take_results(), self._state.window
        if not results and window == self._window:
            return False
        self._window = window
        heads, attached = msg.detach_frames(results)
        message = msg.encode(msg.Done(window, heads))
        self._sent.add(message)
        self._interchange.send([message, *attached])
        return True

    def _leave(self, reason: str) -> None:
        logger.info("ending: %s", reason)
        self._send_results()
        self._interchange.send([msg.encode(msg.Leaving(reason))])
        self._is_running = False

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
        self._interchange.send([msg.encode(msg.Draining(stage.name.lower()))])
        if stage is Stage.DRAINING:
            self._state.on_drain()
            return
        self._state.on_ending()
        if stage is Stage.CUT:
            end_workers(self._workers.values())  # before their tasks are returned, so that none runs twice at once
            self._workers.clear()
            self._state.on_cut()

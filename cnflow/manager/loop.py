"""Moves bytes between the interchange, the workers and the state machine of the manager."""

from __future__ import annotations

import logging
import signal
import socket
from typing import TYPE_CHECKING, Any

from cnflow.clock import SystemClock
from cnflow.ids import TaskId, WorkerRank
from cnflow.manager import actions as on
from cnflow.manager.node.oom import OutOfMemory
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.registration import endpoint_of, info_of
from cnflow.manager.sent_results import SentResults
from cnflow.manager.shutdown import ShutdownWatch, Stage
from cnflow.manager.state import Manager
from cnflow.manager.workers.codec import parcel_of, record_of
from cnflow.manager.workers.process import WorkerProcess, end
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.manager_messages import TaskQuery, TaskReport
from cnflow.wire.peer_limits import MalformedMessageLimit
from cnflow.wire.pipe import ResultKind
from cnflow.wire.serialization import MINOR

if TYPE_CHECKING:
    from cnflow.manager.workers.factory import WorkerFactory
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)


class Loop:
    """Waits for bytes, ends of workers and time, and does what the state machine says.

    Args:
        settings: of the manager.
        crew: starts its workers; some may live already.
    """

    def __init__(self, settings: ManagerSettings, crew: WorkerFactory) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._crew = crew
        image = f"image {settings.image}, " if settings.image else ""
        where = f"{image}host {socket.gethostname()}, block {settings.block}"
        accelerators = len(settings.available_accelerators)
        self._state = Manager(crew.slots, Prefetch(settings.prefetch), MINOR, where, accelerators)
        self._workers: dict[WorkerRank, WorkerProcess] = {}
        self._by_source: dict[Any, WorkerProcess] = {}
        self._out_of_memory = OutOfMemory()
        self._course = ShutdownWatch.of(settings, self._clock.now())
        self._poller = sockets.Poller()
        self._window, self._session = 0, b""
        self._recent, self._malformed = SentResults(), MalformedMessageLimit()
        self._going = True
        self._exitcode = 0

    def run(self) -> int:
        """Until told to stop, signalled, or alone for longer than the threshold.

        Returns:
            Exit code: 0 when it was told to end, 1 when it could not go on.

        Raises:
            UnreachableError: no address of the interchange answered.
        """
        self._poller.register(self._course.listen(), sockets.READABLE)
        self._do(self._state.started())
        try:
            self._connect()
            self._turn()
        finally:
            end(self._workers.values())
            if self._malformed.total:
                logger.warning("malformed messages in all: %d", self._malformed.total)
        return self._exitcode

    def _connect(self) -> None:
        settings, endpoint = self._settings, endpoint_of(self._settings)
        curve = (settings.server_key, settings.public_key, settings.secret_key) if settings.server_key else None
        self._context = sockets.new_context()
        self._interchange = sockets.connect_dealer(self._context, endpoint, self._crew.manager, curve)
        self._poller.register(self._interchange.raw, sockets.READABLE)
        self._register()

    def _register(self, held: tuple[TaskId, ...] = ()) -> None:
        info = info_of(self._settings, self._state.slots, self._course.left(self._clock.now()))
        self._interchange.send([msg.encode(msg.Register(info, held))])

    def _turn(self) -> None:
        period, threshold = self._settings.heartbeat_period, self._settings.heartbeat_threshold
        heard = spoken = self._clock.now()
        while self._going:
            due = min(spoken + period, heard + threshold, self._state.next_deadline, self._course.next_step)
            ready = dict(self._poller.poll(int(max(0.0, due - self._clock.now()) * 1000) + 1))
            now = self._clock.now()
            self._tend(now)
            if self._interchange.raw in ready:
                heard = now
                self._from_interchange(now)
            for source, events in ready.items():
                if source in self._by_source:
                    self._from_worker(self._by_source[source], events, now)
            if now >= self._state.next_deadline:
                self._do(self._state.ticked(now))
            self._do(self._state.dispatch(now))
            if self._report():
                spoken = now
            elif now - spoken >= period:
                self._interchange.send([msg.encode(msg.Heartbeat())])
                spoken = now
            if now - heard >= threshold:
                self._fail(f"the interchange was silent for {now - heard:.0f} s")
            if self._state.is_drained:
                self._leave("its block is drained")
        self._interchange.close(1.0)
        self._context.term()

    def _from_interchange(self, now: Seconds) -> None:
        for head, *attached in self._interchange.receive():
            try:
                self._handle(msg.decode_to_manager(head), attached, now)
            except msg.MALFORMED as error:
                if self._malformed.on_malformed("interchange", now):
                    logger.warning("dropped a malformed message of the interchange: %s", error)
                if self._malformed.is_ignored("interchange", now):
                    self._fail("the interchange sends nonsense")
                    return

    def _handle(self, message: msg.ToManager, attached: list[Any], now: Seconds) -> None:
        if isinstance(message, msg.Work):
            self._state.work(message.functions, msg.attach_frames(message.tasks, attached))
        elif isinstance(message, msg.Cancel):
            self._do(self._state.cancelled(message.tasks, now))
        elif isinstance(message, msg.Drain):
            self._state.drain()
        elif isinstance(message, TaskQuery):
            self._interchange.send([msg.encode(TaskReport(message.number, *self._state.running(message.task, now)))])
        elif isinstance(message, msg.RegisterAgain):
            self._introduce(message.session)
        elif isinstance(message, msg.Refused):
            self._fail(f"refused by the interchange: {message.reason}")
        elif isinstance(message, msg.Stop):
            self._going = False

    def _introduce(self, session: bytes) -> None:
        """Come back to an interchange that was restarted; it asks until it is answered."""
        if session == self._session:
            return
        self._session = session
        logger.warning("the interchange was restarted; registering anew")
        self._report()  # what is done is held no more
        self._interchange.send([msg.encode(msg.Done(0, self._recent.results()))])
        self._register(tuple(self._state.held()))
        if self._course.stage is not Stage.WORKING:
            self._interchange.send([msg.encode(msg.Draining(self._course.stage.name.lower()))])
        self._window = -1  # to be told anew

    def _from_worker(self, worker: WorkerProcess, events: int, now: Seconds) -> None:
        rank = WorkerRank(worker.rank)
        if self._workers.get(rank) is not worker:
            return  # replaced while this round's events were handled
        if events & sockets.WRITABLE:
            self._flush(worker)
        exitcode = worker.exitcode()
        if exitcode is not None:
            self._tend(now)
            if rank not in self._workers:
                return
        worker.forward_output()
        records = worker.records(to_the_end=exitcode is not None)  # what it finished before it died is finished
        if records and records[0].type == ResultKind.READY:
            records = records[1:]
            self._state.ready(rank)
        if records:
            largest = self._settings.largest_result
            self._state.returned(rank, [parcel_of(record, largest) for record in records], now)
            if self._state.is_idle(rank):
                worker.forget_output()
        if exitcode is not None:
            self._bury(worker, exitcode)
        else:
            self._stop_listening_to_closed_ends(worker)

    def _stop_listening_to_closed_ends(self, worker: WorkerProcess) -> None:
        for closed, source in ((worker.socket_closed, worker.socket.fileno()), (worker.output_closed, worker.output)):
            if closed and source in self._by_source:
                self._poller.unregister(source)
                del self._by_source[source]

    def _bury(self, worker: WorkerProcess, exitcode: int) -> None:
        worker.forward_output()
        for source in self._sources(worker):
            if source in self._by_source:
                self._poller.unregister(source)
                del self._by_source[source]
        worker.close()
        worker.signal_session(signal.SIGKILL)  # what its task started and left behind
        rank = WorkerRank(worker.rank)
        cause = self._out_of_memory.cause() if exitcode == -signal.SIGKILL else ""
        logger.warning("worker %d ended with exit code %d%s", rank, exitcode, cause and f", {cause}")
        del self._workers[rank]
        self._do(self._state.exited(rank, exitcode, worker.last_lines(), cause))

    def _do(self, actions: list[on.Action]) -> None:
        touched: dict[WorkerRank, WorkerProcess] = {}
        for action in actions:
            if isinstance(action, on.StartWorker):
                self._start(action.rank)
            elif isinstance(action, on.StopTask):
                self._workers[action.rank].stop(action.number)
            elif isinstance(action, on.KillWorker):
                logger.warning("worker %d did not stop its task in time; killed", action.rank)
                self._workers[action.rank].signal_session(signal.SIGKILL)
            elif isinstance(action, on.RestartWorker):
                logger.info("worker %d is started anew, to see other accelerators", action.rank)
                self._workers[action.rank].signal_session(signal.SIGKILL)
            elif isinstance(action, on.Quit):
                self._leave(action.reason)
                self._fail(action.reason)
            else:
                worker = touched[action.rank] = self._workers[action.rank]
                worker.write(record_of(action))
        for worker in touched.values():
            self._flush(worker)

    def _start(self, rank: WorkerRank) -> None:
        worker = self._crew.start(rank, self._state.shown(rank))
        self._workers[rank] = worker
        for source in self._sources(worker):
            self._by_source[source] = worker
            self._poller.register(source, sockets.READABLE)

    @staticmethod
    def _sources(worker: WorkerProcess) -> list[int]:
        return [fd for fd in (worker.socket.fileno(), worker.output, worker.death) if fd is not None]

    def _flush(self, worker: WorkerProcess) -> None:
        worker.flush()
        events = sockets.READABLE | sockets.WRITABLE if worker.wants_to_write else sockets.READABLE
        if worker.socket.fileno() in self._by_source:
            self._poller.modify(worker.socket.fileno(), events)

    def _report(self) -> bool:
        results, window = self._state.take_results(), self._state.window
        if not results and window == self._window:
            return False
        self._window = window
        heads, attached = msg.detach_frames(results)
        message = msg.encode(msg.Done(window, heads))
        self._recent.sent(message)
        self._interchange.send([message, *attached])
        return True

    def _leave(self, reason: str) -> None:
        logger.info("ending: %s", reason)
        self._report()
        self._interchange.send([msg.encode(msg.Leaving(reason))])
        self._going = False

    def _fail(self, reason: str) -> None:
        logger.error("cannot go on: %s", reason)
        self._exitcode = 1
        self._going = False

    def _tend(self, now: Seconds) -> None:
        """Take the next step towards the end if it is due.

        Called before an exit is looked at: who signals us may signal our workers, whose exits mean something else then.
        """
        stage = self._course.step(now)
        if stage is None:
            return
        logger.info("now %s, with %d tasks", stage.name.lower(), len(self._state.held()))
        self._interchange.send([msg.encode(msg.Draining(stage.name.lower()))])
        if stage is Stage.DRAINING:
            self._state.drain()
            return
        self._state.end()
        if stage is Stage.CUT:
            end(self._workers.values())  # before their tasks are handed back, so that none is run twice at once
            self._workers.clear()
            self._state.cut()

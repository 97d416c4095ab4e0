"""Live half of `cnflow.config.HighThroughputExecutor`."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from cnflow.addresses import is_loopback
from cnflow.blocks import BlockController, Callbacks, Scaling
from cnflow.errors import CnflowError, ExecutorClosedError, InterchangeLostError, ManagerLost
from cnflow.executors.high_throughput.block_requests import (
    ManagerEndpoint,
    expected_slots,
    interchange_settings,
    request_for,
)
from cnflow.executors.high_throughput.interchange_client import InterchangeClient
from cnflow.executors.high_throughput.interchange_process import lost_for_good
from cnflow.executors.high_throughput.introspection import Introspection
from cnflow.executors.high_throughput.managers import ConnectedManagers
from cnflow.executors.high_throughput.results import outcome_of
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.executors.high_throughput.task_queue import Tasks
from cnflow.ids import ManagerId, TaskId
from cnflow.model.task import Outcome, TaskToRun, title_of
from cnflow.wire import messages as msg
from cnflow.wire.keys import Keyring
from cnflow.wire.manager_messages import StatusReport, TaskReport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from cnflow.config import HighThroughputExecutor
    from cnflow.ids import BlockId, RunId
    from cnflow.interfaces import Provider, Report
    from cnflow.model.block import BlockRequest

logger = logging.getLogger(__name__)

_FEW = 4
"""Tasks under way up to which the next one is sent by itself, at once; more go faster together."""

_BIND_WITHIN = 30.0
"""Seconds that an interchange gets from its start to its open port."""


class HighThroughputBackend(Introspection):
    """Runs tasks in worker processes; see `cnflow.interfaces.Executor`.

    Args:
        settings: what the user wrote.
        make_provider: makes the provider's live half; called in the executor's own thread.
        run: labels what the blocks make outside.
        run_dir: its logs go to ``LABEL/`` in here.
        scaling: how its blocks follow its tasks.
    """

    def __init__(
        self,
        settings: HighThroughputExecutor,
        make_provider: Callable[[], Provider],
        run: RunId,
        run_dir: Path,
        scaling: Scaling | None = None,
    ) -> None:
        self.label = settings.label
        self.image = settings.image
        self.digest: Future[str] = Future()
        self.digest.set_running_or_notify_cancel()  # nobody but us ends it
        self.storage_access = settings.storage_access
        self.working_dir = settings.working_dir or ""
        self._settings = settings
        self._make_provider = make_provider
        self._scaling = scaling or Scaling()
        self._run = run
        self._log_dir = run_dir / self.label
        self._packer = TaskSerializer()
        self._lock = threading.Lock()
        self._held: dict[TaskId, TaskToRun] = {}
        """Tasks that are not reported yet."""
        self._cancelled: set[TaskId] = set()
        """Those of them that are to be stopped."""
        self._submits = 0
        """Calls of `submit`: tells idleness from tasks that come and go between two looks."""
        self._roster = ConnectedManagers(self._ask)
        self._error: CnflowError | None = None
        self._bound = threading.Event()
        self._port = 0
        tasks = Tasks(self._unfinished, lambda: self._packer.has_needs)
        log = self._log_dir / "interchange.log"
        self._line = InterchangeClient(self.label, log, self._receive, self._on_interchange_lost, tasks)
        self._blocks: BlockController | None = None
        self._closing = threading.Event()
        self._starter = threading.Thread(target=self._start_blocks, name=f"cnflow-{self.label}-blocks", daemon=True)

    def start(self, report: Report) -> None:
        """Begin to start interchange and blocks, in a thread of its own."""
        self._report = report
        self._log_dir.mkdir(parents=True, exist_ok=True)
        self._starter.start()

    def submit(self, tasks: Sequence[TaskToRun]) -> None:
        """Pack *tasks* and queue them for the interchange."""
        for task in tasks:
            try:
                packed = self._packer.pack(task)
            except CnflowError as error:
                self._report([Outcome(task.id, None, error)])
                continue
            with self._lock:
                broken = self._error
                if broken is None:
                    self._held[task.id] = task
                    # In here, so that whoever cancels what is held finds it on its way.
                    self._line.send(packed, at_once=len(self._held) <= _FEW)
            if broken is not None:
                self._report([Outcome(task.id, None, broken)])
        self._submits += 1
        if self._blocks is not None and len(self._held) > self._blocks.enough_for:
            self._blocks.wake()

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Take back what has not left the driver, and have the others stopped where they are."""
        with self._lock:
            ours = {task for task in tasks if task in self._held}
            self._cancelled |= ours
        if ours:
            self._report_held(Outcome(task, None, CancelledError()) for task in self._line.cancel(ours))

    def shutdown(self) -> None:
        """End interchange, managers and blocks; what is unfinished is reported as ExecutorClosedError."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._bound.set()
        self._roster.close()
        self._fail_all(lambda task: ExecutorClosedError(f"{task} was not finished when the run was ended."))
        self._line.stop()  # first, so that managers end in good order instead of by their provider's signal
        if self._blocks is not None:
            self._blocks.stop()
        if self._starter.is_alive() and self._starter is not threading.current_thread():
            self._starter.join()
        self._digest_is("")

    # The starter's thread

    def _start_blocks(self) -> None:
        try:
            provider = self._make_provider()
            try:
                self._run_blocks(provider)
            finally:
                provider.close()
        except CnflowError as error:
            self._break(error)
        except Exception as error:  # a provider may be anybody's code; a silent thread would leave the user waiting
            logger.exception("executor %s failed", self.label)
            self._break(CnflowError(f"Executor {self.label!r} failed: {type(error).__name__}: {error}"))
        finally:
            self._digest_is("")

    def _run_blocks(self, provider: Provider) -> None:
        digest = provider.prepare(self.image)
        self._digest_is(digest)
        hosts = [self._settings.address] if self._settings.address else list(provider.endpoint_hosts())
        if digest:
            logger.info("executor %s runs image %s, digest %s", self.label, self.image, digest)
        encrypted = self._settings.encrypted
        if encrypted is None:
            encrypted = any(not is_loopback(host) for host in hosts)
        keys = Keyring() if encrypted else None
        if self._closing.is_set():
            return
        endpoint = self._start_interchange(hosts, keys)
        if self._closing.is_set():
            return
        door = ManagerEndpoint([host for host in hosts if host], endpoint, keys)
        self._blocks = BlockController(
            self.label,
            provider,
            self._settings.provider,
            self._scaling,
            expected_slots(self._settings),
            Callbacks(
                demand=lambda: (len(self._held), self._submits),
                request=lambda block: self._request(block, door),
                drain=lambda block: self._line.order(msg.Drain(block)),
                gone=lambda block, reason: self._gone(block, reason, keys),
                ask_idle=lambda: self._line.order(msg.IdleTimesQuery()),
                give_up=self._break,
            ),
        )
        if not self._closing.is_set():  # who closes after this finds the blocks, and stops them
            self._blocks.run()

    def _request(self, block: BlockId, door: ManagerEndpoint) -> BlockRequest:
        if door.keys is not None:
            self._line.order(msg.Admit(block, door.keys.block_keys(block).public))
        return request_for(self._settings, block, self._run, self._log_dir, door)

    def _gone(self, block: BlockId, reason: str, keys: Keyring | None) -> None:
        if keys is not None:
            keys.forget(block)
        self._line.order(msg.BlockGone(block, reason))

    def _start_interchange(self, hosts: Collection[str | None], keys: Keyring | None) -> str:
        """Start it and return the endpoint for managers, which holds ``{host}`` when there are *hosts*."""
        mine, roster = self._settings, self._roster
        self._line.start(lambda folder: interchange_settings(mine, folder, hosts, keys, self._port, roster))
        if not hosts:
            return f"ipc://{self._line.folder}/managers"  # known before it is bound: managers may start at once
        if not self._bound.wait(_BIND_WITHIN):
            raise InterchangeLostError(f"Executor {self.label!r}: its interchange opened no port; see {self._log_dir}.")
        if self._error is not None:
            raise self._error
        return f"tcp://{{host}}:{self._port}"

    # The line's thread

    def _receive(self, message: msg.ToDriver, attached: list[Any]) -> None:
        match message:
            case msg.Results(results):
                self._report_held(outcome_of(*parcel, self._title) for parcel in msg.attach_frames(results, attached))
            case msg.Bound(port):
                self._port = port
                self._bound.set()
            case msg.ManagerUp(manager, info):
                if self._roster.joined(ManagerId(manager), info):  # else it came back after a restart
                    self._tell_blocks(lambda blocks: blocks.connected(info.block, info.slots))
            case msg.ManagerDown(manager, reason, lost):
                info = self._roster.left(ManagerId(manager))
                where = f"manager {manager.hex()} on {info.host}, block {info.block}"
                self._report_held(self._lost(TaskId(number), where, reason) for number in lost)
                self._tell_blocks(lambda blocks: blocks.disconnected(info.block, info.slots))
            case msg.Drained(block):
                self._tell_blocks(lambda blocks: blocks.drained(block))
            case msg.IdleTimes(seconds):
                self._tell_blocks(lambda blocks: blocks.idle_times(seconds))
            case StatusReport() | TaskReport():
                self._roster.answered(message)

    def _tell_blocks(self, what: Callable[[BlockController], None]) -> None:
        if self._blocks is not None:
            what(self._blocks)

    def _lost(self, task: TaskId, where: str, reason: str) -> Outcome:
        if task in self._cancelled:
            return Outcome(task, None, CancelledError())
        return Outcome(task, None, ManagerLost(f"{self._title(task)} was on {where}: {reason}."))

    def _on_interchange_lost(self, how: str) -> None:
        self._break(lost_for_good(self.label, how, self._log_dir / "interchange.log"))
        self._bound.set()

    def _unfinished(self) -> Iterator[tuple[msg.Function, msg.TaskParcel]]:
        """For an interchange that was restarted; packed anew, since to keep all packed would take memory."""
        with self._lock:
            self._line.forget()
            tasks = list(self._held.values())
            self._line.order(msg.Cancel([*self._cancelled]))
        for task in tasks:
            if self._held.get(task.id) is task:  # not answered meanwhile, nor on another try
                try:
                    yield self._packer.pack(task)
                except CnflowError as error:
                    self._report_held([Outcome(task.id, None, error)])

    # Any thread

    def _digest_is(self, digest: str) -> None:
        if not self.digest.done():  # the starter's thread tells first, whoever ends it after that
            self.digest.set_result(digest)

    def _title(self, task: TaskId) -> str:
        held = self._held.get(task)
        return held.title if held else title_of(task, "?")

    def _report_held(self, outcomes: Iterable[Outcome]) -> None:
        """Report what is still held: a task that was failed by `_break` is not reported twice."""
        ready = list(outcomes)
        with self._lock:
            ours = [outcome for outcome in ready if self._held.pop(outcome.id, None) is not None]
            if self._cancelled:
                self._cancelled.difference_update(outcome.id for outcome in ours)
        if ours:
            self._report(ours)

    def _break(self, error: CnflowError) -> None:
        """From now on every task fails with *error*, those submitted already too."""
        if not self._closing.is_set():
            logger.error("executor %s cannot go on: %s", self.label, error)
        with self._lock:
            self._error = error
        if self._blocks is not None:
            self._blocks.stop()
        self._fail_all(lambda _: error)

    def _fail_all(self, error_for: Callable[[str], CnflowError]) -> None:
        with self._lock:
            held, self._held = self._held, {}
        if held:
            self._report([Outcome(task.id, None, error_for(task.title)) for task in held.values()])

"""Random walks of a whole executor without processes: driver, managers, an interchange that is killed and restarted.

Real are the state of the interchange and its loop's half that performs actions, the link to its managers with their
sessions, the state of each manager, the session at its end, and the driver's end of results that it fetches in parts.
In place of sockets there are channels that deliver late, break, and lose what was on its way::

    Driver ── d2i ──> SimulatedLoop: (Recovering)Interchange, ManagerLink ── down ──> SimulatedNode: Manager, Session
           <── i2d ──                                                     <── up ────

A walk takes random steps: tasks and cancellations, nodes that start, drain, end or die, broken connections, time, and
the end of the interchange with whatever was in its channels. In some walks each manager takes one task in
all. Then all that can happen happens, and each task must have ended once. What must hold at each step is checked in
`World.check`, `Driver` and `Node`.

Run ``python tests/simulation/walks.py --walks 5000`` for many.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import logging
import math
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.executors.high_throughput.bulk_line import BulkLine
from cnflow.interchange import manager_record
from cnflow.interchange.bulk_link import BulkLink
from cnflow.interchange.loop import Loop
from cnflow.interchange.manager_link import ManagerLink
from cnflow.interchange.manager_numbers import ManagerNumbers
from cnflow.interchange.recovery import Predecessor, RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.manager.actions import SendBatch, SendFunction, SendTask
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.manager.workers import worker as worker_module
from cnflow.model.interchange_settings import InterchangeSettings
from cnflow.model.manager_settings import PROTOCOL
from cnflow.wire import messages as msg
from cnflow.wire.bulk import Chunk, Gone, Offer, Release, Unreleased, Want
from cnflow.wire.function_messages import Batching, Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.parcels import attach_frames
from cnflow.wire.pipe import ResultKind as Kind
from cnflow.wire.sent_functions import SentFunctions
from cnflow.wire.session import Session, new_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.executors.high_throughput.incomplete_results import Ended

CORES, SLOTS = 2.0, 2
PERIOD, THRESHOLD = 10.0, 30.0
MODULES = [Function(bytes([number]) * 16, f"m{number}", 100, "", b"code") for number in range(6, 9)]
FUNCTIONS = [
    Function(bytes([number]) * 16, f"f{number}", 0, "", b"code", tuple(module.id for module in MODULES[number:]))
    for number in range(6)
]
MODEL = Function(b"m" * 16, "model", 0, "", b"code", (), Batching(max_batch=4))
TABLE = {function.id: function for function in [*FUNCTIONS, *MODULES, MODEL]}
SMALL = 1200
"""Bytes of some two functions: a receiver is to forget them again and again."""

NEEDS = [None, None, None, Needs(cores=0.5), Needs(cores=1.0), Needs(cores=2.0), Needs(cores=1.0, priority=1.0)]
MAX_TASKS, MAX_NODES = 40, 16
SHARE_OF_PARTS = 0.3
"""Of results, and of moments at which the driver requests parts of results."""

SHARE_OF_CALLS = 0.4
"""Of tasks without needs: calls of a model, of which half are bulk."""

STREAM = "stream"
"""Batches of this kind, `Task.apart`, have pieces before their end."""

LEAVING = "its block is drained"


class MemoryRouter:
    """Sends to the channels of nodes in place of a ROUTER; what is for a node without a connection is lost."""

    def __init__(self, nodes: dict[bytes, SimulatedNode]) -> None:
        self.raw = object()
        self.arrived: list[list[Any]] = []
        self._nodes = nodes

    def send(self, frames: list[Any]) -> None:
        node = self._nodes.get(frames[0])
        if node is not None and node.is_connected and len(frames) > 1:
            node.down.append([bytes(frames[1]), *frames[2:]])

    def receive(self, most: int) -> list[list[Any]]:
        assert len(self.arrived) <= most
        arrived, self.arrived = self.arrived, []
        return arrived


class DriverLine:
    """The interchange's end of the line to the driver."""

    is_full, is_local, is_away, connections = False, True, False, 0

    def __init__(self) -> None:
        self.last_sent = self.delivered = 0
        self.on_its_way: collections.deque[tuple[int, Any, list[Any]]] = collections.deque()

    def send(self, message: Any, attached: Any = ()) -> None:
        self.last_sent += 1
        self.on_its_way.append((self.last_sent, message, [*attached]))


class SimulatedLoop(Loop):
    """One life of an interchange: turns of the real loop over channels in memory."""

    def __init__(self, state: Interchange, nodes: dict[bytes, SimulatedNode], folder: str) -> None:
        self._state = state
        self._driver = self.line = DriverLine()
        endpoint = f"ipc://{folder}/{time.monotonic_ns()}"
        settings = InterchangeSettings(session="00" * 8, folder=folder, manager_endpoint=endpoint)
        self._managers = self.link = ManagerLink(settings)
        self.link._router.close(0)
        self.link._context.term()
        self.link._router = self.router = MemoryRouter(nodes)
        self._bulk = BulkLink(settings, self.link, self.line)
        self._dials = None
        self._numbers = ManagerNumbers(0)

    @property
    def state(self) -> Interchange:
        return self._state

    def hear_manager(self, manager: bytes, frames: list[Any], now: float) -> None:
        self.router.arrived.append([manager, *frames])
        self._perform(self.link.receive({self.router.raw: 1}, self._handle_message, now))
        if not self._state.is_putting_off:
            self.link.on_forwarded(self.line.last_sent)
        self.finish_turn(now)

    def hear_driver(self, message: Any, attached: list[Any], now: float) -> None:
        if isinstance(message, (msg.Work, msg.Resubmit)) and message.forgets:
            self._state.forget_functions()
        if isinstance(message, msg.Work):
            tasks = attach_frames(message.tasks, attached)
            self._perform(self._state.on_submitted(message.functions, tasks, may_have_needs=message.may_have_needs))
        elif isinstance(message, msg.Resubmit):
            tasks = attach_frames(message.tasks, attached)
            self._perform(self._state.on_resubmitted(message.functions, tasks, is_last=message.is_last))
        else:
            self._handle_order(message, now)
        self.finish_turn(now)

    def finish_turn(self, now: float) -> None:
        self._perform(self._state.dispatch(now))
        self.link.on_delivered(self.line.delivered)

    def tick(self, now: float) -> None:
        self._perform(self._state.on_tick(now))
        self.finish_turn(now)


class SimulatedNode:
    """A manager on its node: real state, and a session over a connection that may break."""

    def __init__(self, world: World, name: bytes, block: str, rank: int, nodes: int) -> None:
        self.world, self.name, self.block = world, name, block
        self.rank, self.nodes = rank, nodes
        self.slots = 1 if world.is_single_use else SLOTS
        self.prefetch = Prefetch(0, 1 if world.is_single_use else None)
        self.state = Manager(self.slots, self.prefetch, "3.11", "host")
        self.started = 0
        """Tasks that were written to workers."""
        self.is_alive, self.is_connected, self.awaits_drain = True, True, False
        self.is_leaving = self.has_left = self.is_self_draining = False
        self.up: list[list[Any]] = []
        self.down: list[list[Any]] = []
        self.session, self.former = Session(new_identity()), b""
        self.window = self.calls = 0
        self.at_workers: dict[int, set[bytes]] = collections.defaultdict(set)
        self.born, self.last_heard = world.now, world.now
        self.pieces: collections.Counter[tuple[int, int]] = collections.Counter()
        """Pieces of each attempt so far."""

        self.prepared = 0
        """Orders to load models, with those of before."""

        self.kept: set[bytes] = set()
        """Parts of results that the driver has not released."""

        self.state.on_start()
        self._send(self._registration({}))

    def _registration(self, held: dict[int, int]) -> msg.Register:
        left = self.world.life - (self.world.now - self.born)
        node = Node(cores=CORES, worker_cores=1.0, life=self.world.life, left=max(0.0, left))
        info = ManagerInfo(
            PROTOCOL, "0", "3.11", "h", self.block, "", self.slots, 1, "", node, node_rank=self.rank, nodes=self.nodes
        )
        return msg.Register(info, held, self.state.stopping())

    def _put(self, frames: list[Any]) -> None:
        if frames and self.is_connected:
            self.up.append(frames)

    def _send(self, message: Any) -> None:
        self._put(self.session.send([msg.encode(message)]))

    def heartbeat(self) -> None:
        self._put(self.session.send_unnumbered([msg.encode(msg.Heartbeat())]))

    def break_connection(self, rng: random.Random) -> None:
        """Lose the end of what is on its way in both directions."""
        self.session.on_disconnected()
        self.is_connected = False
        for channel in (self.up, self.down):
            del channel[rng.randint(0, len(channel)) :]

    def connect(self) -> None:
        self.is_connected = True
        self.session.on_connected()
        self._send_due()

    def _send_due(self) -> None:
        if self.session.is_due:
            for frames in self.session.take_due():
                self._put(frames)

    def hear(self) -> None:
        frames = self.down.pop(0)
        self.last_heard = self.world.now
        if frames[0].startswith(self.session.identity):
            payload = self.session.on_received(frames)
            self._send_due()
            if payload is not None:
                self._on_message(msg.decode_to_manager(payload[0]), payload[1:])
        else:
            assert self.former, "a message of no session"

    def _on_message(self, message: Any, attached: list[Any]) -> None:
        if isinstance(message, msg.Work):
            if message.forgets:
                self.state.forget_functions()
                self.world.counts["functions forgotten"] += 1
            self.state.on_work(message.functions, attach_frames(message.tasks, attached))
            if self.prefetch.is_exhausted and not self.state.is_draining:
                self.is_self_draining = True
                self._send_draining()
                self.state.on_drain()
        elif isinstance(message, msg.Cancel):
            self.state.on_cancel(message.tasks, self.world.now)
        elif isinstance(message, msg.Prepare):
            assert [function.id for function in message.functions] == [MODEL.id]
            self.prepared += 1
        elif isinstance(message, msg.Drain):
            in_reply = self.is_self_draining or self.block in self.world.drained_blocks or self.awaits_drain
            assert in_reply or self.world.is_near_end(self), "drained without need"
            self.awaits_drain = False
            self.state.on_drain()
        elif isinstance(message, msg.RegisterAgain):
            self._register_again()
        elif isinstance(message, Release):
            self.kept.difference_update(message.blobs)
        elif isinstance(message, (msg.Refused, msg.Stop)):
            assert self.has_left or self.world.may_be_refused(self), f"{self.name} is refused: {message}"
            self.die()
            return
        self.take_turn()

    def _register_again(self) -> None:
        self._send_results()
        kept = self.session.unacknowledged()
        dones = [m for frames in kept if isinstance(m := msg.decode_from_manager(bytes(frames[0])), msg.Done)]
        no_ends = Kind.CANCELLED, Kind.PARTIAL
        held = {r.id: r.attempt for done in dones for r in done.results if r.kind not in no_ends}
        self.former, self.session = self.session.identity, Session(new_identity())
        self._send(self._registration({**held, **self.state.held()}))
        for done in dones:
            self._send(msg.Done(0, done.results))
        if self.kept:
            self._send(Unreleased(self.name, sorted(self.kept)))
        if self.state.is_draining:
            self.is_leaving = False
            self._send_draining()
        self.window = -1

    def _send_draining(self) -> None:
        self.awaits_drain = True
        self._send(msg.Draining("draining"))

    def _send_results(self) -> None:
        parcels, window, calls = self.state.take_results(), self.state.window, self.state.calls
        if parcels or (window, calls) != (self.window, self.calls):
            self.window, self.calls = window, calls
            self._send(msg.Done(window, [result for result, _ in parcels], calls))

    def take_turn(self) -> None:
        if not self.is_alive:
            return
        for action in self.state.dispatch(self.world.now):
            if isinstance(action, SendFunction):
                if action.forgets:
                    self.at_workers[action.rank].clear()
                for function in action.functions:
                    assert set(function.modules) <= self.at_workers[action.rank], "a worker lacks a module"
                    self.at_workers[action.rank].add(function.id)
            elif isinstance(action, SendTask):
                task = action.task[0]
                self.started += 1
                assert not self.world.is_single_use or self.started == 1, f"{self.name!r} runs a second task"
                assert task.function in self.at_workers[action.rank], f"a worker lacks the function of task {task.id}"
            elif isinstance(action, SendBatch):
                self.started += len(action.tasks)
                assert not self.world.is_single_use or self.started == 1, f"{self.name!r} runs a second task"
                assert MODEL.id in self.at_workers[action.rank], "a worker lacks the model"
                assert len({task.apart for task, _ in action.tasks}) == 1
                self.world.counts["batches of several"] += len(action.tasks) > 1
        self._send_results()
        if self.state.is_drained and not self.awaits_drain and not self.is_leaving and not self.kept:
            self.is_leaving = self.has_left = True
            self._send(msg.Leaving(LEAVING))
        if self.is_leaving and self.session.delivered == self.session.sent:
            self.die()

    def begin_shutdown(self, how: str) -> None:
        """Drain by itself, return what was not started (``end``), or what runs as well (``cut``)."""
        self.is_self_draining = True
        self._send_draining()
        if how == "self":
            self.state.on_drain()
        else:
            self.state.on_ending()
            if how == "cut":
                self.state.on_cut()
        self.take_turn()

    def work(self, rng: random.Random, kind: Kind | None) -> bool:
        """Let one worker start, end its task with *kind*, or die (None); False if none can."""
        able = [(rank, w) for rank, w in self.state._workers.items() if not w.is_ready or w.tasks]
        if not able:
            return False
        rank, worker = rng.choice(able)
        if not worker.is_ready:
            self.state.on_worker_ready(rank)
        elif kind is None:
            self.state.on_worker_exit(rank, -9, "")
            self.at_workers[rank].clear()
        elif worker.batch is not None:
            self.state.on_results(rank, [(r, ()) for r in self._results_of_batch(rng, worker, kind)], self.world.now)
        else:
            task = worker.tasks[0][0]
            ends = Kind.CANCELLED if worker.is_cancelled(task) else kind
            result = msg.Result(task.id, ends, b"", 1.0)
            if ends == Kind.VALUE and rng.random() < SHARE_OF_PARTS:
                self.world.counts["results in parts"] += 1
                result.blobs = (Offer(b"%d/%d" % (task.id, task.attempt), 1, 0, self.name),)
                self.kept.add(result.blobs[0].blob)
            self.state.on_results(rank, [(result, ())], self.world.now)
        self.take_turn()
        return True

    def _results_of_batch(self, rng: random.Random, worker: Any, kind: Kind) -> list[msg.Result]:
        """Ends of all calls of a batch, or of the first ones; pieces of streams before them."""
        results = []
        for task, _ in worker.tasks:
            attempt = task.id, task.attempt
            while task.apart == STREAM and rng.random() < SHARE_OF_PARTS:
                results.append(msg.Result(task.id, Kind.PARTIAL, self.name, float(self.pieces[attempt])))
                self.pieces[attempt] += 1
                self.world.counts["pieces"] += 1
            if results and rng.random() < SHARE_OF_PARTS:
                break
            body = b"%s/%d" % (self.name, self.pieces[attempt])
            results.append(msg.Result(task.id, Kind.CANCELLED if worker.is_cancelled(task) else kind, body, 1.0))
        return results

    def reply(self, want: Want) -> tuple[Chunk | Gone, list[bytes]]:
        """Reply to the driver's request for a part."""
        if want.blob in self.kept:
            return Chunk(want.blob, self.name, 0), [b"x"]
        return Gone(want.blob, self.name, "it is gone"), []

    def die(self) -> None:
        self.is_alive = self.is_connected = False
        self.down.clear()

    def running_cores(self) -> float:
        running = [worker.tasks[0][0] for worker in self.state._workers.values() if worker.tasks]
        return sum(1.0 if task.needs is None else task.needs.cores for task in running)


class Driver:
    """The executor's side: attempts, outcomes, orders that stand."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.needs: dict[int, Needs | None] = {}
        self.held: dict[int, int] = {}
        self.cancelled: set[int] = set()
        self.ends: dict[int, str] = {}
        self.calls: dict[int, tuple[int, str, bool]] = {}
        """Those tasks that are calls of the model: rows, what is apart, whether they are bulk."""

        self.pieces: collections.Counter[tuple[int, int, bytes]] = collections.Counter()
        """Pieces of each attempt from each manager."""

        self.is_prepared = False
        """Managers are to load the model."""

        self.attempts = 0
        self.to_interchange: list[tuple[Any, list[Any]]] = []
        self.functions_sent = SentFunctions(SMALL)
        self.admitted: dict[str, None] = {}
        self.drains: dict[str, None] = {}
        self.managers: dict[bytes, str] = {}
        self.departed: dict[bytes, str] = {}
        self.counts: collections.Counter[str] = collections.Counter()
        self.bulk = BulkLine(lambda release: self.to_interchange.append((release, [])), lambda: self.world.now)

    def submit(self, needs: Needs | None) -> None:
        task = len(self.needs)
        self.needs[task] = needs
        rng = self.world.rng
        if needs is None and rng.random() < SHARE_OF_CALLS:
            self.calls[task] = rng.choice([1, 1, 3, 9]), rng.choice(["", "a", STREAM]), rng.random() < 1 / 2
            self.counts["calls"] += 1
            if not self.is_prepared:
                self.is_prepared = True
                self.to_interchange.append((msg.Prepare([MODEL]), []))
        self._send([self._hold(task)])

    def _hold(self, task: int) -> int:
        self.held[task] = self.attempts
        self.attempts += 1
        return task

    def _send(self, tasks: list[int]) -> None:
        functions, heads, forgets = self._parts(tasks)
        must_look = any(self.needs.values()) or bool(self.calls)
        self.to_interchange.append((msg.Work(functions, heads, must_look, forgets), []))

    def _parts(self, tasks: list[int]) -> tuple[list[Function], list[msg.Task], bool]:
        heads = [
            msg.Task(task, function_of(task), b"", needs=self.needs[task], attempt=self.held[task]) for task in tasks
        ]
        for head in heads:
            if head.id in self.calls:
                head.function = MODEL.id
                head.rows, head.apart, head.is_bulk = self.calls[head.id]
        functions, forgets = self.functions_sent.add({head.function for head in heads}, TABLE)
        return functions, heads, forgets

    def cancel(self, task: int) -> None:
        self.cancelled.add(task)
        self.to_interchange.append((msg.Cancel({task: self.held[task]}), []))
        for stopped in self.bulk.cancel([task]):
            self._end(stopped, "cancelled")

    def fetch(self) -> None:
        """Request parts of results; managers that are connected reply at once."""
        while frames := self.bulk.next_message():
            want = msg.decode_to_interchange(frames[0])
            node = self.world.nodes[want.source]
            if node.is_connected:
                reply, attached = node.reply(want)
                assert isinstance(reply, Chunk), f"{node.name!r} has dropped a result that the driver fetches"
                self._on_ended(self.bulk.on_message(reply, attached))

    def _on_ended(self, ended: Ended) -> None:
        for result, _ in ended.parcels:
            self._on_result(result)
        for failure in ended.failures:
            self._end_attempt(failure.task)

    def admit(self, block: str) -> None:
        self.admitted[block] = None
        self.to_interchange.append((msg.Admit(block, ""), []))

    def drain(self, block: str) -> None:
        self.drains[block] = None
        self.to_interchange.append((msg.Drain(block), []))

    def forget(self, block: str) -> None:
        if block in self.admitted:
            del self.admitted[block]
            self.drains.pop(block, None)
            self.departed = {m: its for m, its in self.departed.items() if its != block}
            self.to_interchange.append((msg.BlockGone(block, "gone"), []))

    def restart(self, rng: random.Random) -> None:
        """Give a new interchange all that it must have."""
        orders = [m for m, _ in self.to_interchange if isinstance(m, (msg.Admit, msg.BlockGone, msg.Drain))]
        self.to_interchange = [(msg.Drain(block), []) for block in self.drains]
        self.to_interchange += [(msg.Prepare([MODEL]), [])] if self.is_prepared else []
        self.functions_sent.on_new_session()
        self.bulk.on_new_line(is_local=True)
        tasks = sorted(task for task in self.held if not self.bulk.is_arriving(task))
        at = rng.randint(0, len(tasks))
        for batch, is_last in ((tasks[:at], False), (tasks[at:], True)):
            functions, heads, forgets = self._parts(batch)
            self.to_interchange.append((msg.Resubmit(functions, heads, is_last, forgets), []))
        self.to_interchange.append((msg.Cancel({task: self.held[task] for task in self.cancelled}), []))
        self.to_interchange += [(order, []) for order in orders]

    def hear(self, message: Any) -> None:
        if isinstance(message, msg.ManagerUp):
            self.managers[message.id] = message.info.block
        elif isinstance(message, msg.ManagerDown):
            self._on_manager_down(message)
        elif isinstance(message, msg.Drained):
            assert message.block in self.world.drained_blocks, "nobody ordered that"
            self.world.on_drained(message.block)
        elif isinstance(message, msg.BlockEmpty):
            self.counts["blocks emptied"] += 1
            self.world.check_empty(message.block)
        elif isinstance(message, Unreleased):
            self._on_ended(self.bulk.on_message(message, []))
        elif isinstance(message, msg.Results):
            stale = [result for result in message.results if self.held.get(result.id) != result.attempt]
            self.counts["stale"] += len(stale)
            self.bulk.on_unwanted(stale)
            ours = [result for result in message.results if result not in stale]
            ends = [result for result in ours if not self._is_piece(result)]
            self._on_ended(self.bulk.on_results((result, []) for result in ends))

    def _is_piece(self, result: msg.Result) -> bool:
        """Return whether *result* is a piece; it must be the next one of its manager, or one that came before."""
        if result.kind != Kind.PARTIAL:
            return False
        attempt = result.id, result.attempt, bytes(result.body)
        assert result.seconds <= self.pieces[attempt], f"a piece of task {result.id} is missing"
        self.counts["pieces twice"] += result.seconds < self.pieces[attempt]
        self.pieces[attempt] += result.seconds == self.pieces[attempt]
        return True

    def _on_manager_down(self, message: msg.ManagerDown) -> None:
        block = self.managers.pop(message.id)
        if block in self.admitted:
            self.departed[message.id] = block
        node = self.world.nodes[message.id]
        lost = [task for task, attempt in message.lost.items() if self.held.get(task) == attempt]
        lost += [failure.task for failure in self.bulk.on_manager_lost(message.id, message.reason)]
        is_orderly = message.reason == LEAVING
        assert not (lost and is_orderly), f"{node.name!r} left in good order, and {lost} are lost"
        self.world.check_lost(node, message.lost)
        self.counts["lost with others in the block"] += bool(lost) and len(self.world.others_of(node)) > 0
        for task in lost:
            self.counts["lost with a manager"] += 1
            self._end_attempt(task)

    def _on_result(self, result: msg.Result) -> None:
        task = result.id
        if result.kind == Kind.VALUE and task in self.calls:
            manager, pieces = bytes(result.body).split(b"/")
            assert self.pieces[task, result.attempt, manager] == int(pieces), (
                f"pieces of task {task} come after its end"
            )
        if result.kind == Kind.VALUE:
            self._end(task, "cancelled" if task in self.cancelled else "value")
        elif result.kind == Kind.CANCELLED:
            assert task in self.cancelled, f"task {task} was cancelled by nobody"
            self._end(task, "cancelled")
        else:
            assert result.kind != Kind.DOES_NOT_FIT, f"task {task} fits"
            self.counts[Kind(result.kind).name] += 1
            self._end_attempt(task)

    def _end_attempt(self, task: int) -> None:
        if task in self.cancelled:
            self._end(task, "cancelled")
        else:
            del self.held[task]
            self._send([self._hold(task)])

    def _end(self, task: int, how: str) -> None:
        assert task not in self.ends, f"task {task} ended twice"
        self.ends[task] = how
        del self.held[task]
        self.cancelled.discard(task)


class World:
    """One walk.

    Args:
        seed: of all chance.
        folder: for socket files that are closed at once.
        restarts: kills of the interchange at the most.
        life: seconds that a block lives; infinite for ever.
        is_single_use: each manager takes one task in all.
    """

    def __init__(
        self, seed: int, folder: str, restarts: int = 3, life: float = math.inf, *, is_single_use: bool = False
    ) -> None:
        self.rng = random.Random(seed)
        self.is_single_use = is_single_use
        self.folder, self.restarts_left, self.life = folder, restarts, life
        self.now = 0.0
        self.nodes: dict[bytes, SimulatedNode] = {}
        self.blocks: dict[str, int] = {}
        self.drained_blocks: set[str] = set()
        self.silent: set[bytes] = set()
        self.driver = Driver(self)
        self.counts: collections.Counter[str] = collections.Counter()
        self.loop = SimulatedLoop(Interchange(PROTOCOL, PERIOD, THRESHOLD), self.nodes, folder)
        self.is_over = False

    # What nodes may ask

    def is_near_end(self, node: SimulatedNode) -> bool:
        return self.now - node.born > self.life / 2

    def may_be_refused(self, node: SimulatedNode) -> bool:
        return node.name in self.silent or node.block not in self.driver.admitted

    def on_drained(self, block: str) -> None:
        for node in self.nodes.values():
            if node.block == block:
                node.die()
        self.driver.forget(block)

    # What the driver may be told of blocks of several nodes

    def others_of(self, node: SimulatedNode) -> list[SimulatedNode]:
        return [other for other in self.nodes.values() if other.block == node.block and other is not node]

    def check_lost(self, node: SimulatedNode, lost: Mapping[int, int]) -> None:
        """The loss of a node is that of its own attempts: no other node of its block has one of them."""
        if self.counts["kills"]:
            return  # a new interchange may have given a task to another node under the same attempt
        for other in self.others_of(node):
            both = {task for task, attempt in other.state.held().items() if lost.get(task) == attempt}
            assert not (other.is_alive and both), f"{both} are lost with {node.name!r}, and {other.name!r} has them"

    def check_empty(self, block: str) -> None:
        """A block is empty once the managers of all its nodes have come, and left by their own decision."""
        here = [node for node in self.nodes.values() if node.block == block]
        assert len(here) == self.blocks[block], f"only {len(here)} of {self.blocks[block]} nodes of {block} have come"
        registered = [node.name for node in here if node.name in self.loop.state.managers()]
        assert not registered, f"{registered} of the empty block {block} are here"

    # Steps

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
            self.check()
        self.finish()

    def step(self) -> None:  # noqa: C901 - a case for each kind of step
        rng, draw = self.rng, self.rng.random()
        living = [node for node in self.nodes.values() if node.is_alive]
        if draw < 0.14 and len(self.driver.needs) < MAX_TASKS:
            self.driver.submit(rng.choice(NEEDS))
        elif draw < 0.16 and self.driver.held:
            self.driver.cancel(rng.choice(sorted(self.driver.held)))
        elif draw < 0.22:
            self.start_block()
        elif draw < 0.52:
            for _ in range(rng.randint(1, 60)):
                self.deliver_one()
                if rng.random() < SHARE_OF_PARTS:
                    self.driver.fetch()
        elif draw < 0.82 and living:
            rng.choice(living).work(rng, rng.choice([Kind.VALUE, Kind.VALUE, Kind.VALUE, Kind.RAISED, None]))
        elif draw < 0.85 and living:
            self.end_something(rng.choice(living))
        elif draw < 0.91:
            self.connect_or_break(living)
        elif draw < 0.96:
            self.pass_time(rng.choice([1.0, 1.0, 2.0, 6.0]))
        elif draw < 0.985 and self.restarts_left:
            self.kill_interchange()

    def start_block(self) -> None:
        if len(self.nodes) >= MAX_NODES or sum(node.is_alive for node in self.nodes.values()) >= 4:
            return
        open_blocks = [
            block
            for block, count in self.blocks.items()
            if block in self.driver.admitted and self.nodes_of(block) < count
        ]
        if open_blocks:
            block = self.rng.choice(open_blocks)
        else:
            block = str(len(self.blocks))
            self.blocks[block] = self.rng.choice([1, 1, 2, 3, 4])
            self.driver.admit(block)
        self.add_node(block)

    def nodes_of(self, block: str) -> int:
        return sum(node.block == block for node in self.nodes.values())

    def add_node(self, block: str) -> None:
        name = b"m%03d" % len(self.nodes)
        self.nodes[name] = SimulatedNode(self, name, block, self.nodes_of(block), self.blocks[block])

    def deliver_one(self) -> None:
        way = self.rng.choice(["d2i", "i2d", "up", "down"])
        if way == "d2i" and self.driver.to_interchange:
            self.deliver_to_interchange()
        elif way == "i2d" and self.loop.line.on_its_way:
            self.deliver_to_driver()
        elif way == "up" and (nodes := [node for node in self.nodes.values() if node.up]):
            self.deliver_up(self.rng.choice(nodes))
        elif way == "down" and (nodes := [node for node in self.nodes.values() if node.down and node.is_alive]):
            self.rng.choice(nodes).hear()

    def deliver_to_interchange(self) -> None:
        message, attached = self.driver.to_interchange.pop(0)
        wire = msg.decode_to_interchange(msg.encode(message))
        self.loop.hear_driver(wire, attached, self.now)

    def deliver_to_driver(self) -> None:
        number, message, _ = self.loop.line.on_its_way.popleft()
        self.driver.hear(msg.decode_to_driver(msg.encode(message)))
        self.loop.line.delivered = number

    def deliver_up(self, node: SimulatedNode) -> None:
        self.loop.hear_manager(node.name, node.up.pop(0), self.now)

    def connect_or_break(self, living: list[SimulatedNode]) -> None:
        apart = [node for node in living if not node.is_connected]
        if apart:
            self.rng.choice(apart).connect()
        elif living:
            self.counts["breaks"] += 1
            self.rng.choice(living).break_connection(self.rng)

    def end_something(self, node: SimulatedNode) -> None:
        how = self.rng.choice(["drain", "gone", "killed", "self", "end", "cut"])
        self.counts[how] += 1
        if how == "drain":
            self.drained_blocks.add(node.block)
            self.driver.drain(node.block)
        elif how == "gone":
            for other in self.nodes.values():
                if other.block == node.block:
                    other.die()
            self.driver.forget(node.block)
        elif how == "killed":
            node.die()
        else:
            node.begin_shutdown(how)

    def pass_time(self, seconds: float) -> None:
        """Let time pass; connected managers are heard, and hear, as long as they are."""
        self.now += seconds
        self.driver.bulk.on_tick()
        for node in self.nodes.values():
            if node.is_alive and node.is_connected:
                node.heartbeat()
                while node.up:
                    self.deliver_up(node)
                    if not node.is_alive:
                        break
        self.loop.tick(self.now)
        self.note_silence()

    def note_silence(self) -> None:
        """A manager that is apart for longer than the threshold ends by itself, unless it is back before."""
        registered = {*self.loop.state.managers(), *getattr(self.loop.state, "_awaited", ())}
        self.silent |= {name for name, node in self.nodes.items() if name not in registered and node.is_alive}
        for node in self.nodes.values():
            if node.is_alive and not node.is_connected and self.now - node.last_heard >= THRESHOLD:
                node.die()

    def kill_interchange(self) -> None:
        """Start another interchange; what the dead one has sent may arrive in part, as far as it was sent."""
        self.restarts_left -= 1
        self.counts["kills"] += 1
        self.counts["kills with tasks held"] += any(r.held for r in self.loop.state._managers.values())
        line = self.loop.line
        for _ in range(self.rng.randint(0, len(line.on_its_way))):
            self.deliver_to_driver()
        for node in self.nodes.values():
            if node.is_alive and node.is_connected:
                node.break_connection(self.rng)
                if self.rng.random() < 0.7:
                    node.up.clear()
                    node.connect()
            node.up = [frames for frames in node.up if node.is_connected]
        driver = self.driver
        driver.restart(self.rng)
        predecessor = Predecessor([*driver.admitted], dict(driver.managers), dict(driver.departed))
        state = RecoveringInterchange(PROTOCOL, PERIOD, THRESHOLD, predecessor, self.now)
        self.loop = SimulatedLoop(state, self.nodes, self.folder)

    # What must hold

    def check(self) -> None:
        for manager, record in self.loop.state._managers.items():
            calls = [task for task in record.held if task in self.driver.calls]
            assert record.calls == set(calls), "calls are counted that are none, or gone"
            wanted = max(record.wanted_calls, SLOTS)
            assert not record.window or len(calls) <= 2 * wanted + MAX_TASKS * self.counts["kills"], "too many calls"
            needs = [self.driver.needs[task] for task in record.held if task not in self.driver.calls]
            cores = sum(1.0 if need is None else need.cores for need in needs)
            if record.window:  # before, results of what it holds are on their way behind its registration
                assert cores <= CORES + 1e-9, f"{manager!r} holds {record.held}: {cores} cores"
                assert len(needs) <= SLOTS
            assert set(record.capacity._allocations) <= set(record.held), "resources of tasks that are not here"
        for node in self.nodes.values():
            assert node.running_cores() <= CORES + 1e-9, f"{node.name!r} runs {node.running_cores()} cores"

    def finish(self) -> None:  # noqa: C901 - one loop
        """Let everything happen that can; start nodes as long as tasks are left."""
        for turn in range(400):
            for node in list(self.nodes.values()):
                if node.is_alive and not node.is_connected:
                    node.connect()
            self.deliver_all()
            for node in list(self.nodes.values()):
                while node.is_alive and node.work(self.rng, Kind.VALUE):
                    pass
            self.driver.fetch()
            self.deliver_all()
            if not self.driver.held:
                break
            self.now += 2.0
            self.driver.bulk.on_tick()
            for node in self.nodes.values():
                if node.is_alive:
                    node.heartbeat()
            self.deliver_all()
            self.loop.tick(self.now)
            self.note_silence()
            for node in self.nodes.values():
                if not node.is_alive and node.name in self.driver.managers and self.is_dead(node.block):
                    self.driver.forget(node.block)
            if (turn > 30 or self.is_single_use) and not any(node.is_alive for node in self.nodes.values()):
                block = str(len(self.blocks))
                self.blocks[block] = 1
                self.driver.admit(block)
                self.add_node(block)
        assert not self.driver.held, f"lost: {self.driver.held}; managers {self.loop.state._managers}"
        assert len(self.driver.ends) == len(self.driver.needs)
        kept = {node.name: node.kept for node in self.nodes.values() if node.is_alive and node.kept}
        assert not kept, f"results are kept for nobody: {kept}"
        if self.driver.is_prepared:
            registered = [self.nodes[name] for name in self.loop.state.managers()]
            assert all(node.prepared for node in registered if node.is_alive), (
                "a manager was not told to load the model"
            )
        self.counts["tasks"] = len(self.driver.needs)
        self.counts.update(self.driver.counts)

    def is_dead(self, block: str) -> bool:
        return all(not node.is_alive for node in self.nodes.values() if node.block == block)

    def deliver_all(self) -> None:
        is_moving = True
        while is_moving:
            is_moving = False
            while self.driver.to_interchange:
                self.deliver_to_interchange()
                is_moving = True
            for node in list(self.nodes.values()):
                while node.up:
                    self.deliver_up(node)
                    is_moving = True
                while node.down and node.is_alive:
                    node.hear()
                    is_moving = True
            while self.loop.line.on_its_way:
                self.deliver_to_driver()
                is_moving = True
            self.loop.finish_turn(self.now)
            is_moving = is_moving or any(node.down and node.is_alive for node in self.nodes.values())


def walk(seed: int, folder: str, steps: int = 150) -> collections.Counter[str]:
    """Take one walk, and return what happened."""
    with small_tables():
        life = math.inf if seed % 3 else 400.0
        world = World(seed, folder, restarts=seed % 5, life=life, is_single_use=seed % 4 == 3)
        world.run(steps)
    return world.counts


@contextlib.contextmanager
def small_tables() -> Iterator[None]:
    """Let managers and workers have few functions at a time."""
    limits = manager_record.OF_MANAGER, worker_module.OF_WORKER
    manager_record.OF_MANAGER = worker_module.OF_WORKER = SMALL
    try:
        yield
    finally:
        manager_record.OF_MANAGER, worker_module.OF_WORKER = limits


def function_of(task: int) -> bytes:
    return FUNCTIONS[task * 7 // 3 % len(FUNCTIONS)].id


def main() -> int:
    """Take many walks; print what happened, and each kind of failure with its first seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walks", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first walk")
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    failures: dict[str, list[int]] = {}
    logging.disable(logging.CRITICAL)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first, arguments.first + arguments.walks):
            try:
                counts += walk(seed, folder)
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                key = f"{type(error).__name__}: {str(error)[:60]} ({Path(place.filename).name}:{place.lineno})"
                failures.setdefault(key.translate({ord(d): "#" for d in "0123456789"}), []).append(seed)
    lines = [f"{arguments.walks} walks in {time.monotonic() - begin:.0f} s: {dict(counts)}"]
    for key, seeds in sorted(failures.items(), key=lambda item: -len(item[1])):
        lines.append(f"{len(seeds)} x {key}; seeds {seeds[:5]}")
    sys.stdout.write("\n".join([*lines, ""]))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

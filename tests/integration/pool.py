"""A pool's interchange as a process, with an owner, managers and drivers that a test plays."""

from __future__ import annotations

import functools
import sys

import msgspec

from cnflow.executors.high_throughput.interchange_process import InterchangeProcess
from cnflow.model.manager_settings import PROTOCOL
from cnflow.model.pool_settings import ClientRequest, PoolInterchangeSettings
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo
from cnflow.wire.pipe import ResultKind
from cnflow.wire.session import Session, new_identity
from cnflow.wire.session_stream import SessionStream
from tests.waiting import wait_until

WAIT = 10.0
FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")

wait_for = functools.partial(wait_until, timeout=WAIT, period=0.005)


class Line:
    """An end of a session with the interchange, and what it has received."""

    def __init__(self, process, session):
        self.process = process
        self.session = SessionStream(session)
        self.messages = []
        self.results = {}
        self.more = []
        """Results of tasks that had one."""

    def send(self, message, attached=()):
        self.session.send([msg.encode(message), *attached])
        self.session.flush()

    def read(self):
        if self.session.stream is None:
            return
        self.session.flush()
        for head, *_ in self.session.receive():
            message = msg.decode_to_driver(head)
            self.messages.append(message)
            if isinstance(message, msg.Results):
                for result in message.results:
                    if result.id in self.results:
                        self.more.append(result)
                    self.results[result.id] = result
        self.session.send_unnumbered([msg.encode(msg.Heartbeat())])

    def of(self, kind):
        self.read()
        return [message for message in self.messages if isinstance(message, kind)]


class Pool:
    """The interchange's process and its owner."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.keys = folder / "keys"
        self.keys.mkdir()
        self.public, secret = sockets.new_key_pair()
        self.settings = PoolInterchangeSettings(
            **{
                "session": new_identity().hex(),
                "folder": str(folder / "run"),
                "manager_endpoint": f"ipc://{folder}/managers",
                "blocks": {"0": ""},
                "clients_endpoint": "tcp://127.0.0.1",
                "clients_secret_key": secret,
                "client_keys": str(self.keys),
                "heartbeat_period": 2.0,
                "heartbeat_threshold": 60.0,
                **settings,
            }
        )
        (folder / "run").mkdir()
        self.log = folder / "pool.log"
        process = InterchangeProcess(
            [sys.executable, "-m", "cnflow.interchange", "--pool"], msgspec.json.encode(self.settings), self.log
        )
        self.owner = Line(process, bytes.fromhex(self.settings.session))
        self.owner.session.connect(process.stream)
        (self.bound,) = wait_for(lambda: self.owner.of(msg.Bound))
        self.drivers = []

    def key(self, name, weight=""):
        """Issue a key; wait until the pool has it."""
        public, secret = sockets.new_key_pair()
        (self.keys / f"{name}.key").write_text(f"{public} {weight}\n")
        wait_for(lambda: f"client {name} may connect" in self.log.read_text())
        return public, secret

    def driver(self, key, *, session=None, **request):
        """Driver that begins a session, or goes on with that of *session*, a driver."""
        made = Driver(self, key, None if session is None else session.identity, request)
        self.drivers.append(made)
        return made

    def report(self):
        """Last report."""
        reports = self.owner.of(msg.PoolReport)
        return reports[-1] if reports else None

    def close(self):
        for driver in self.drivers:
            driver.leave()
        self.owner.send(msg.Stop())
        self.owner.session.disconnect()
        self.owner.process.stop()


class Driver(Line):
    """A driver with its bridge."""

    def __init__(self, pool, key, identity, request):
        self.identity = identity or new_identity()
        self.bridge_log = pool.folder / f"bridge-{len(pool.drivers)}.log"
        line = ClientRequest(
            **{
                "session": self.identity.hex(),
                "is_new": identity is None,
                "endpoint": f"tcp://127.0.0.1:{pool.bound.clients_port}",
                "server_key": pool.public,
                "client_public": key[0],
                "client_secret": key[1],
                **request,
            }
        )
        process = InterchangeProcess(
            [sys.executable, "-m", "cnflow.interchange.client_bridge"],
            msgspec.json.encode(line),
            self.bridge_log,
            is_relay=True,
        )
        super().__init__(process, self.identity)
        self.next = 0

    def greeting(self):
        """Word of the bridge; connects if there is a session."""
        word = wait_for(self.process.read_greeting)
        if word != "gone":
            self.session.connect(self.process.stream)
        return word

    def submit(self, count, *, needs=None, first=None):
        """Submit tasks, with the function if they are the first."""
        first = self.next if first is None else first
        functions = [] if self.next else [FUNCTION]
        self.next = max(self.next, first + count)
        numbers = range(first, first + count)
        self.send(msg.Work(functions, [msg.Task(number, FUNCTION.id, b"", needs=needs) for number in numbers]))

    def wait_for_results(self, count):
        wait_for(lambda: (self.read(), len(self.results) >= count)[1])

    def reconnect(self, pool, key, **request):
        """Connect again over another bridge; the session goes on."""
        self.session.disconnect()
        again = pool.driver(key, session=self, **request)
        word = wait_for(again.process.read_greeting)
        self.process = again.process
        self.session.connect(again.process.stream, is_again=True)
        return word

    def kill(self):
        """Kill the bridge, as a broken connection does."""
        self.process.kill()
        self.process.reap()

    def leave(self):
        self.session.disconnect()
        self.process.stream.close()
        self.process.stop()


class PlayedManager:
    """A manager that ends each task at once, or when it is told."""

    def __init__(self, pool, name=b"manager-1", slots=4, block="0", host="host"):
        self.context = sockets.new_context()
        self.name, self.slots = name, slots
        self.dealer = sockets.connect_dealer(self.context, f"ipc://{pool.folder}/managers", name)
        self.session = Session(new_identity())
        self.tasks = {}
        self.order = []
        """Ids of tasks as they came."""
        self.functions = []
        self.cancelled = {}
        info = ManagerInfo(PROTOCOL, "0", "3.11", host, block, "", slots, 1)
        self.send(msg.Register(info))
        self.done([])

    def send(self, message):
        self.dealer.send(self.session.send([msg.encode(message)]))

    def done(self, tasks, kind=ResultKind.VALUE):
        results = [msg.Result(task.id, kind, b"%d" % task.id, attempt=task.attempt) for task in tasks]
        for task in tasks:
            del self.tasks[task.id]
        self.send(msg.Done(self.slots, results))

    def read(self):
        for frames in self.dealer.receive():
            payload = self.session.on_received(frames)
            for due in self.session.take_due():
                self.dealer.send(due)
            if payload is None:
                continue
            message = msg.decode_to_manager(payload[0])
            if isinstance(message, msg.Work):
                self.functions += message.functions
                self.tasks.update((task.id, task) for task in message.tasks)
                self.order += [task.id for task in message.tasks]
            elif isinstance(message, msg.Cancel):
                self.cancelled.update(message.tasks)
        return self.tasks

    def end_all(self):
        """End all tasks that have come."""
        if self.read():
            self.done(list(self.tasks.values()))

    def close(self):
        self.dealer.close()
        self.context.term()

"""The real interchange and the real manager, each between a friend who works on and a stranger who talks nonsense."""

import contextlib
import itertools
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from nonsense import INFO, TO_INTERCHANGE, TO_MANAGER, frames_like

from cnflow.model.interchange_settings import InterchangeSettings
from cnflow.model.manager_settings import ManagerSettings
from cnflow.wire import messages as msg
from cnflow.wire import serialization, sockets, stream
from cnflow.wire.keys import KeyPair, Keyring
from cnflow.wire.pipe import ResultKind

PATIENT = "import cnflow.wire.peer_limits as m; m.MAX_MALFORMED = 10**9"
ANSWER_WITHIN = 30.0


class Victim:
    """A process under attack. It must live, answer its friend, and keep its memory."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cnflow-fuzz-"))
        self.log = self.folder / "log"
        self.context = sockets.new_context()
        self._numbers = itertools.count(100)

    def start(self, module, *arguments, patient, inherits=()):
        code = f"{PATIENT if patient else ''}\nimport sys; from {module} import main; sys.exit(main())"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=inherits,
            )

    def memory(self):
        """Bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def check(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with code {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
        self.prove_life()

    def end(self):
        """Its exit code, and what it logged."""
        self.process.stdin.close()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("it does not end") from None
        finally:
            self.context.destroy(0)
            if isinstance(self, Interchange):
                self.driver.close()
        said = self.log.read_text(errors="replace")
        shutil.rmtree(self.folder)
        assert "Traceback" not in said, said[-3000:]
        return code, said


class Interchange(Victim):
    """Attacked by peers that have a key, or need none; and by such that have a wrong one, and by raw bytes."""

    def __init__(self, *, encrypted, patient):
        super().__init__()
        self.keys = Keyring() if encrypted else None
        self.driver, theirs = stream.stream_pair()
        number = theirs.fileno()
        with theirs:
            self.start("cnflow.interchange.__main__", patient=patient, inherits=[number])
        settings = InterchangeSettings(
            driver=number,
            folder=str(self.folder / "sockets"),
            manager_endpoint="tcp://127.0.0.1",
            secret_key=self.keys.server.secret if self.keys else "",
            block_keys={name: self.keys.block_keys(name).public for name in ("friend", "enemy")} if self.keys else {},
            largest_message=2**20,
            heartbeat_threshold=10.0,
            heartbeat_period=3.0,
        )
        self.process.stdin.write(msgspec.json.encode(settings) + b"\n")
        self.process.stdin.flush()
        assert select.select([self.driver.raw], [], [], 20)[0]
        ((head,),) = self.driver.receive()
        self.port = msg.decode_to_driver(head).port
        self.friend = self.connect("friend")
        self._greet()

    def connect(self, block, pair=None):
        pair = pair or (self.keys.block_keys(block) if self.keys else None)
        curve = (self.keys.server.public, *pair) if self.keys else None
        return sockets.connect_dealer(self.context, f"tcp://127.0.0.1:{self.port}", os.urandom(6), curve)

    def _greet(self):
        for message in (msg.Register(INFO), msg.Done(2, [])):
            self.friend.send([msg.encode(message)])

    def attack(self, rng, count):
        """*count* messages of a new peer."""
        enemy = self.connect("enemy")
        for _ in range(count):
            enemy.send(frames_like(rng, TO_INTERCHANGE))
        enemy.send([msg.encode(msg.Leaving("done"))])
        enemy.close(5.0)

    def attack_from_outside(self, rng, count):
        """*count* connections of strangers, who get nowhere."""
        for _ in range(count):
            if self.keys and rng.random() < 0.2:
                stranger = self.connect("", KeyPair(*sockets.new_key_pair()))
                stranger.send(frames_like(rng, TO_INTERCHANGE))
                time.sleep(0.1)
                stranger.close()
                continue
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as raw:
                raw.sendall(_greeting(rng) + rng.randbytes(rng.randrange(2000)))

    def prove_life(self):
        """A task goes to the friend and its result comes back."""
        number = next(self._numbers)
        task = msg.task_parcel(number, b"g", serialization.Payload(b"x"))
        work = [msg.encode(msg.Work([msg.Function(b"g", "g", 0, "", b"")], [task[0]]))]
        self.driver.send(work)
        deadline = time.monotonic() + ANSWER_WITHIN
        while time.monotonic() < deadline:
            self.friend.send([msg.encode(msg.Heartbeat())])
            if self.friend.raw.poll(5):
                self._work()
            for head, *attached in self.driver.receive():
                message = msg.decode_to_driver(head)
                if isinstance(message, msg.Results):
                    if number in {parcel[0].id for parcel in msg.attach_frames(message.results, attached)}:
                        return
                elif isinstance(message, msg.ManagerDown) and number in message.lost:
                    self.driver.send(work)
        raise AssertionError(f"a task was not answered; log:\n{self.log.read_text()[-3000:]}")

    def _work(self):
        for head, *_ in self.friend.receive():
            message = msg.decode_to_manager(head)
            if isinstance(message, msg.Work):
                done = [msg.Result(task.id, ResultKind.VALUE, b"x") for task in message.tasks]
                self.friend.send([msg.encode(msg.Done(2, done))])
            elif isinstance(message, msg.Refused):
                self._greet()


def _greeting(rng):
    """Of ZMTP 3, nearly: https://rfc.zeromq.org/spec/23/."""
    if rng.random() < 0.3:
        return b""
    mechanism = rng.choice((b"NULL", b"PLAIN", b"CURVE", rng.randbytes(20)))
    return b"\xff" + bytes(8) + b"\x7f\x03" + rng.choice((b"\0", b"\1")) + mechanism.ljust(20, b"\0") + bytes(32)


class Manager(Victim):
    """Attacked by what it takes for its interchange."""

    def __init__(self, *, encrypted, patient):
        super().__init__()
        keys = Keyring() if encrypted else None
        own = keys.block_keys("0") if keys else None
        self._door = sockets.Authenticator(self.context, keys.public_keys()) if keys else None
        self.server, port = sockets.bind_router(
            self.context, "tcp://127.0.0.1", secret_key=keys.server.secret if keys else ""
        )
        settings = ManagerSettings(
            hosts=(),
            endpoint=f"tcp://127.0.0.1:{port}",
            server_key=keys.server.public if keys else "",
            public_key=own.public if own else "",
            secret_key=own.secret if own else "",
            executor="fuzz",
            block="0",
            max_workers=1,
        )
        file = self.folder / "settings"
        file.write_bytes(settings.to_json())
        self.start("cnflow.manager.__main__", str(file), patient=patient)
        deadline = time.monotonic() + ANSWER_WITHIN
        while not self.server.raw.poll(10):
            assert time.monotonic() < deadline, self.log.read_text()
            if self._door and self._door.raw.poll(0):
                self._door.handle_request()
        self.id = next(self.server.receive())[0]

    def attack(self, rng, count):
        """*count* messages, but for those that rightly end it."""
        for _ in range(count):
            frames = frames_like(rng, TO_MANAGER)
            with contextlib.suppress(*msg.MALFORMED):
                if isinstance(msg.decode_to_manager(frames[0]), (msg.Stop, msg.Drain, msg.Refused)):
                    continue
            self.server.send([self.id, *frames])

    def prove_life(self):
        """A task's answer comes: its function cannot be loaded, and that is said."""
        number = next(self._numbers)
        function = msg.Function(b"known" + b"." * 11, "known", 0, "", b"no pickle")
        task = msg.Task(number, function.id, b"x")
        self.server.send([self.id, msg.encode(msg.Work([function], [task]))])
        deadline = time.monotonic() + ANSWER_WITHIN
        while time.monotonic() < deadline and self.process.poll() is None:
            self.server.raw.poll(100)
            for _, head, *_ in self.server.receive():
                message = msg.decode_from_manager(head)
                if isinstance(message, msg.Done) and number in {result.id for result in message.results}:
                    return
        raise AssertionError(f"a task was not answered; log:\n{self.log.read_text()[-3000:]}")

    def end(self):
        self.server.send([self.id, msg.encode(msg.Stop())])
        return super().end()

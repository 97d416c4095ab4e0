"""Targets of the fuzzer: a real interchange and a real manager, each with a peer that behaves and peers that do not."""

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
import zmq
from mutations import ABOUT_BLOBS, INFO, TO_INTERCHANGE, TO_MANAGER, mutate, put_into_session

from cnflow.model.interchange_settings import InterchangeSettings
from cnflow.model.manager_settings import ManagerSettings
from cnflow.wire import messages as msg
from cnflow.wire import serialization, sockets
from cnflow.wire.authenticator import Authenticator
from cnflow.wire.bulk import with_bulk_suffix
from cnflow.wire.function_messages import Function
from cnflow.wire.keys import KeyPair, Keyring
from cnflow.wire.parcels import attach_frames
from cnflow.wire.pipe import ResultKind
from cnflow.wire.session import Session, identity_of, new_identity
from cnflow.wire.session_stream import SessionStream
from cnflow.wire.stream import Stream

NO_LIMIT = "import cnflow.wire.peer_limits as m; m.MAX_MALFORMED = 10**9"
ANSWER_TIMEOUT = 30.0
SESSION = b"attacked"


class Target:
    """Process that is sent malformed messages; it must go on running tasks."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cnflow-fuzz-"))
        self.log = self.folder / "log"
        self.context = sockets.new_context()
        self._numbers = itertools.count(100)

    def start(self, module, *arguments, is_limited, stdin=subprocess.PIPE):
        code = f"{'' if is_limited else NO_LIMIT}\nimport sys; from {module} import main; sys.exit(main())"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                stdin=stdin,
                stdout=log,
                stderr=log,
            )

    def memory(self):
        """Resident memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def check(self):
        if self.process.poll() is not None:
            code = self.process.returncode
            raise AssertionError(f"the target ended with code {code}:\n{self.log.read_text()[-3000:]}")
        self.check_task()

    def end(self):
        """Order the process to end; return its exit code and its log."""
        if isinstance(self, Interchange):
            self.driver.disconnect()
        else:
            self.process.stdin.close()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the target does not end") from None
        finally:
            self.context.destroy(0)
        log = self.log.read_text(errors="replace")
        shutil.rmtree(self.folder)
        assert "Traceback" not in log, log[-3000:]
        return code, log


class Interchange(Target):
    """Interchange that is attacked by peers with a valid key, by peers with a wrong key, and by raw bytes."""

    def __init__(self, *, encrypted, is_limited):
        super().__init__()
        self.keys = Keyring() if encrypted else None
        ours, theirs = socket.socketpair()
        with theirs:
            self.start("cnflow.interchange.__main__", is_limited=is_limited, stdin=theirs.fileno())
        settings = InterchangeSettings(
            session=SESSION.hex(),
            folder=str(self.folder / "sockets"),
            manager_endpoint="tcp://127.0.0.1",
            secret_key=self.keys.server.secret if self.keys else "",
            blocks={
                name: self.keys.block_keys(name).public if self.keys else "" for name in ("good", "bad", INFO.block)
            },
            largest_message=2**20,
            heartbeat_threshold=10.0,
            heartbeat_period=3.0,
        )
        self.driver = SessionStream(SESSION)
        self.driver.connect(Stream(ours))
        self.driver.stream.send_line(msgspec.json.encode(settings))
        assert select.select([self.driver.source], [], [], 20)[0]
        ((head,),) = self.driver.receive()
        self.port = msg.decode_to_driver(head).port
        self.good_peer = self.connect("good")
        self._register()

    def connect(self, block, pair=None, identity=b""):
        pair = pair or (self.keys.block_keys(block) if self.keys else None)
        curve = (self.keys.server.public, *pair) if self.keys else None
        return sockets.connect_dealer(self.context, f"tcp://127.0.0.1:{self.port}", identity or os.urandom(6), curve)

    def _register(self):
        self.session = Session(new_identity())
        for message in (msg.Register(INFO), msg.Done(2, [])):
            self._send(message)

    def _send(self, message):
        self.good_peer.send(self.session.send([msg.encode(message)]))

    def attack(self, rng, count):
        """Send *count* messages from a new peer."""
        peer, session = self.connect("bad"), Session(new_identity())
        if rng.random() < 0.9:
            peer.send(session.send([msg.encode(msg.Register(INFO))]))
        for _ in range(count):
            peer.send(put_into_session(rng, mutate(rng, TO_INTERCHANGE), session))
        self._attack_blobs(rng, count // 4)
        peer.send(session.send([msg.encode(msg.Leaving("done"))]))
        peer.close(5.0)

    def _attack_blobs(self, rng, count):
        """Send *count* messages about blobs, over a connection for blobs."""
        peer = self.connect("bad", identity=with_bulk_suffix(os.urandom(6)))
        for _ in range(count):
            peer.send(mutate(rng, ABOUT_BLOBS))
        peer.close(5.0)

    def attack_without_key(self, rng, count):
        """Open *count* connections with a wrong key, or of raw bytes."""
        for _ in range(count):
            if self.keys and rng.random() < 0.2:
                stranger = self.connect("", KeyPair(*sockets.new_key_pair()))
                with contextlib.suppress(zmq.Again):  # it has been rejected already
                    stranger.send(mutate(rng, TO_INTERCHANGE))
                time.sleep(0.1)
                stranger.close()
                continue
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as raw:
                raw.sendall(_zmtp_greeting(rng) + rng.randbytes(rng.randrange(2000)))

    def check_task(self):
        """Submit a task and wait for its result from the good peer."""
        number = next(self._numbers)
        task = msg.task_parcel(number, b"g", serialization.Payload(b"x"))
        work = [msg.encode(msg.Work([Function(b"g", "g", 0, "", b"")], [task[0]]))]
        self.driver.send(work)
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while time.monotonic() < deadline:
            self.good_peer.send(self.session.send_unnumbered([msg.encode(msg.Heartbeat())]))
            if self.good_peer.raw.poll(5):
                self._run_tasks()
            for head, *attached in self.driver.receive():
                message = msg.decode_to_driver(head)
                if isinstance(message, msg.Results):
                    if number in {parcel[0].id for parcel in attach_frames(message.results, attached)}:
                        return
                elif isinstance(message, msg.ManagerDown) and number in message.lost:
                    self.driver.send(work)
        raise AssertionError(f"a task has no result; log:\n{self.log.read_text()[-3000:]}")

    def _run_tasks(self):
        for frames in self.good_peer.receive():
            payload = self.session.on_received(frames) if frames[0].startswith(self.session.identity) else None
            message = msg.decode_to_manager(payload[0]) if payload else None
            if isinstance(message, msg.Work):
                done = [msg.Result(task.id, ResultKind.VALUE, b"x") for task in message.tasks]
                self._send(msg.Done(2, done))
            elif isinstance(message, (msg.Refused, msg.RegisterAgain)):
                self._register()
        for frames in self.session.take_due():
            self.good_peer.send(frames)


def _zmtp_greeting(rng):
    """Greeting of ZMTP 3 (https://rfc.zeromq.org/spec/23/), valid but for its mechanism; or nothing."""
    if rng.random() < 0.3:
        return b""
    mechanism = rng.choice((b"NULL", b"PLAIN", b"CURVE", rng.randbytes(20)))
    return b"\xff" + bytes(8) + b"\x7f\x03" + rng.choice((b"\0", b"\1")) + mechanism.ljust(20, b"\0") + bytes(32)


class Manager(Target):
    """Manager that is attacked by its interchange."""

    def __init__(self, *, encrypted, is_limited):
        super().__init__()
        keys = Keyring() if encrypted else None
        own = keys.block_keys("0") if keys else None
        self._authenticator = Authenticator(self.context, keys.public_keys()) if keys else None
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
        self.start("cnflow.manager.__main__", str(file), is_limited=is_limited)
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while not self.server.raw.poll(10):
            assert time.monotonic() < deadline, self.log.read_text()
            if self._authenticator and self._authenticator.raw.poll(0):
                self._authenticator.handle_request()
        self.id, *frames = next(self.server.receive())
        self.session = Session(identity_of(frames[0]))
        self.session.on_received(frames)

    def attack(self, rng, count):
        """Send *count* messages, except those that order the manager to end."""
        for _ in range(count):
            frames = mutate(rng, TO_MANAGER)
            with contextlib.suppress(*msg.MALFORMED):
                message = msg.decode_to_manager(frames[0])
                if isinstance(message, (msg.Stop, msg.Drain, msg.Refused, msg.RegisterAgain)):
                    continue
            self.server.send([self.id, *put_into_session(rng, frames, self.session)])

    def check_task(self):
        """Submit a task whose function cannot be loaded, and wait for the result that reports the error."""
        number = next(self._numbers)
        function = Function(b"known" + b"." * 11, "known", 0, "", b"no pickle")
        task = msg.Task(number, function.id, b"x")
        self._send(msg.Work([function], [task]))
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while time.monotonic() < deadline and self.process.poll() is None:
            self.server.raw.poll(100)
            for message in self._receive():
                if isinstance(message, msg.Done) and number in {result.id for result in message.results}:
                    return
        raise AssertionError(f"a task has no result; log:\n{self.log.read_text()[-3000:]}")

    def _send(self, message):
        self.server.send([self.id, *self.session.send([msg.encode(message)])])

    def _receive(self):
        """Messages of the manager, which begins no other session."""
        for _, *frames in self.server.receive():
            payload = self.session.on_received(frames)
            if payload is not None:
                yield msg.decode_from_manager(payload[0])
        for frames in self.session.take_due():
            self.server.send([self.id, *frames])

    def end(self):
        self._send(msg.Stop())
        return super().end()

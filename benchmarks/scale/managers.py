"""Simulates many managers in one process, which reads its settings as a line of JSON and ends with its stdin."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import Any

import msgspec
import zmq

import cnflow
from benchmarks.scale.limits import raise_open_files
from cnflow.ids import BlockId
from cnflow.model.manager_settings import PROTOCOL
from cnflow.wire import messages as msg
from cnflow.wire import serialization, sockets
from cnflow.wire.manager_messages import ManagerInfo
from cnflow.wire.pipe import ResultKind
from cnflow.wire.session import Session, new_identity

NONE = serialization.dump(None).body


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of all managers of a process."""

    endpoint: str
    count: int
    slots: int
    window: int
    period: float
    """Seconds between heartbeats."""

    curve: tuple[str, str, str] | None = None


class Manager:
    """Simulated manager: its socket, and the time of its last message."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], settings: Settings) -> None:
        self._window = settings.window
        self._socket = sockets.connect_dealer(context, settings.endpoint, os.urandom(6), settings.curve)
        self._info = ManagerInfo(
            PROTOCOL,
            cnflow.__version__,
            serialization.MINOR,
            "simulated",
            BlockId("0"),
            "",
            settings.slots,
            os.getpid(),
        )
        self._register()

    def _register(self) -> None:
        self._session = Session(new_identity())
        self._send(msg.Register(self._info))
        self._send(msg.Done(self._window, []))

    @property
    def fd(self) -> int:
        """Descriptor that is readable when `serve` is due, as it also is after a send (zmq_getsockopt(3), ZMQ_FD)."""
        return int(self._socket.raw.FD)

    def serve(self) -> None:
        """Send results of all tasks that have arrived."""
        while results := [result for frames in self._socket.receive() for result in self._results(frames)]:
            self._send(msg.Done(self._window, results))
        for due in self._session.take_due():
            self._socket.send(due)

    def send_heartbeat(self) -> None:
        """Send a heartbeat."""
        self._socket.send(self._session.send_unnumbered([msg.encode(msg.Heartbeat())]))
        self.last_sent = time.monotonic()
        self.serve()

    def _send(self, message: msg.FromManager) -> None:
        self._socket.send(self._session.send([msg.encode(message)]))
        self.last_sent = time.monotonic()

    def _results(self, frames: list[Any]) -> list[msg.Result]:
        if not frames[0].startswith(self._session.identity):
            return []  # of the session before
        payload = self._session.on_received(frames)
        message = None if payload is None else msg.decode_to_manager(payload[0])
        if isinstance(message, msg.RegisterAgain):  # the first messages were lost with a connection that took too long
            self._register()
        return _results_of(message) if isinstance(message, msg.Work) else []


def _results_of(message: msg.Work) -> list[msg.Result]:
    return [msg.Result(task.id, ResultKind.VALUE, NONE, 0.0, "", 0, task.attempt) for task in message.tasks]


def main() -> None:
    """Run all managers until stdin ends."""
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    raise_open_files()
    context = sockets.new_context()
    context.set(zmq.MAX_SOCKETS, settings.count + 64)
    managers = [Manager(context, settings) for _ in range(settings.count)]
    by_fd = {manager.fd: manager for manager in managers}
    poll = select.epoll()
    for fd in (*by_fd, sys.stdin.fileno()):
        poll.register(fd, select.EPOLLIN)
    look = time.monotonic()
    while True:
        for fd, _ in poll.poll(settings.period / 20):
            if fd == sys.stdin.fileno():
                os._exit(0)  # without closing thousands of sockets
            by_fd[fd].serve()
        if time.monotonic() >= look:
            for manager in managers:
                if time.monotonic() - manager.last_sent >= settings.period:
                    manager.send_heartbeat()
            look = time.monotonic() + settings.period / 20


if __name__ == "__main__":
    main()

"""`Fronts`: starts the front processes of a server, starts those again that end, and drains all.

::

    server: binds and listens ──the same sockets, inherited──> front 0, front 1, ...
            └── a pair of sockets for each front: calls and answers; its end is how each learns that the other is gone

All fronts accept from one queue: connections that wait in it are not lost when a front dies, and the next one takes
them. Only the calls in the hands of the dead front fail, and with them their clients' connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError
from cnflow.log_tail import quoted_tail
from cnflow.serving.link.front_link import FrontLink
from cnflow.serving.processes.restarts import Again, Restarts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cnflow.serving.link.front_link import Answering
    from cnflow.serving.link.messages import Orders
    from cnflow.serving.service import ModelService

logger = logging.getLogger(__name__)

_STATE_PERIOD = 0.1
"""Seconds between two looks whether the state of the service has changed."""

_KILL_AFTER = 5.0
"""Seconds from the end of a drain's time until a front that is still there is killed."""


class Front:
    """One front process and the server's end of its link."""

    def __init__(self, number: int, link: FrontLink, process: subprocess.Popen[bytes]) -> None:
        self.number = number
        self.link = link
        self.process = process
        self.serves = False
        self.ended = asyncio.Event()


class Fronts:
    """Front processes of one server; used in its event loop.

    Args:
        service: answers the calls.
        command: answers the questions of admins.
        orders: settings of each front.
        sockets: that all fronts accept from.
        folder: for the logs of the fronts.
        on_hopeless: called with the reason when no front can be started.
        on_ended: called with the counts that a front has sent last, once it has ended.
    """

    def __init__(  # noqa: PLR0913 - parts of the server
        self,
        *,
        service: ModelService,
        command: Answering,
        orders: Orders,
        sockets: Sequence[socket.socket],
        folder: Path,
        on_hopeless: Callable[[Exception], None],
        on_ended: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._service = service
        self._command = command
        self._orders = orders
        self._sockets = sockets
        self._folder = folder
        self._on_hopeless = on_hopeless
        self._on_ended = on_ended
        self._restarts = Restarts()
        self._live: dict[int, Front] = {}
        self._is_draining = False
        self._serves = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, count: int) -> None:
        """Start *count* fronts, and return once the first accepts connections, or none can."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            await self._start_one(number)
        self._keep(self._send_states())
        await self._serves.wait()

    @property
    def pids(self) -> dict[int, int]:
        """Ids of the processes by the numbers of the fronts that serve."""
        return {number: front.process.pid for number, front in self._live.items() if front.serves}

    def reports(self) -> list[bytes]:
        """Counts that the fronts have sent last."""
        return [front.link.report for front in self._live.values() if front.link.report and not front.ended.is_set()]

    async def drain(self, seconds: float) -> None:
        """Have all fronts answer what they have accepted, and end; those that take longer are killed."""
        self._is_draining = True
        fronts = list(self._live.values())
        for front in fronts:
            front.link.send_state()
            front.link.drain()
        ends = [asyncio.ensure_future(front.ended.wait()) for front in fronts]
        if ends:
            _, late = await asyncio.wait(ends, timeout=seconds + _KILL_AFTER)
            if late:
                self._kill_late(fronts, seconds)
                await asyncio.wait(ends)
        for task in self._tasks:
            task.cancel()

    def kill(self) -> None:
        """End all fronts at once."""
        self._is_draining = True
        for front in self._live.values():
            front.process.kill()

    def _kill_late(self, fronts: Sequence[Front], seconds: float) -> None:
        for front in fronts:
            if not front.ended.is_set():
                logger.warning("front %d has not ended after %g s, and is killed", front.number, seconds)
                front.process.kill()

    async def _start_one(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._spawn(number, theirs)
        link = FrontLink(self._service, self._command, on_greeting=lambda: self._on_greeting(number))
        front = self._live[number] = Front(number, link, process)
        loop = asyncio.get_running_loop()

        def wait() -> None:
            code = process.wait()
            with contextlib.suppress(RuntimeError):  # the server has ended before it
                loop.call_soon_threadsafe(self._on_exit, front, code)

        threading.Thread(target=wait, name=f"cnflow-front-{number}", daemon=True).start()
        await link.open(ours, self._orders)

    def _spawn(self, number: int, link: socket.socket) -> subprocess.Popen[bytes]:
        ends = [link.fileno(), *(each.fileno() for each in self._sockets)]
        argv = [sys.executable, "-m", "cnflow.serving.processes.front", *map(str, ends)]
        with self._log(number).open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=ends,
                start_new_session=True,  # Ctrl-C is the server's
            )

    def _log(self, number: int) -> Path:
        return self._folder / f"{number}.log"

    def _on_greeting(self, number: int) -> None:
        self._live[number].serves = True
        self._restarts.on_greeting(number, asyncio.get_running_loop().time())
        self._serves.set()
        logger.info("front %d (process %d) accepts connections", number, self._live[number].process.pid)

    def _on_exit(self, front: Front, code: int) -> None:
        front.serves = False
        front.link.close()
        front.ended.set()
        self._on_ended(front.link.report)
        if self._is_draining:
            return
        del self._live[front.number]
        decision = self._restarts.on_exit(front.number, asyncio.get_running_loop().time())
        words = quoted_tail(self._log(front.number))
        if isinstance(decision, Again):
            logger.warning(
                "front %d (process %d) has ended with %s, and is started again%s%s",
                front.number,
                front.process.pid,
                _exit_words(code),
                f" in {decision.delay:g} s" if decision.delay else "",
                words if code > 0 else "",
            )
            self._keep(self._start_later(front.number, decision.delay))
            return
        self._serves.set()
        self._on_hopeless(ConfigurationError(f"No front can be started: it ends with {_exit_words(code)}.{words}"))

    async def _start_later(self, number: int, delay: float) -> None:
        await asyncio.sleep(delay)
        if not self._is_draining:
            await self._start_one(number)

    async def _send_states(self) -> None:
        while True:
            await asyncio.sleep(_STATE_PERIOD)
            for front in self._live.values():
                front.link.send_state()

    def _keep(self, coroutine: object) -> None:
        task = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]  # of coroutines alone
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _exit_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code} ({_signal_name(-code)})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return "real-time"

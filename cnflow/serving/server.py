"""`ModelServer`: serves the models of one run over HTTP, in a thread of its own.

::

    start ──> socket listens ──> event loop in a thread:
                                   LiveService ──> executors of the run
                                   fronts=1: the HTTP front itself      fronts=N: `Fronts`, N processes beside it
                                   admin commands: from fronts, and from the run's control socket
    drain ──> not ready ──drain_delay──> no more connections ──> requests are answered ──> fronts end ──> service ends
end   ──> every request is answered with 503 ──> fronts have a second for that ──> service ends
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.clock import SystemClock
from cnflow.dataflow.call_options import AppOptions
from cnflow.errors import ConfigurationError
from cnflow.serving.admin import CONTROL, GOES_ON, AdminCommands, RemoteAdmin
from cnflow.serving.figures import ServerFigures
from cnflow.serving.http.server import HttpServer, build_app, listen
from cnflow.serving.link.messages import Orders
from cnflow.serving.live_service import LiveService
from cnflow.serving.model_record import ModelRecord
from cnflow.serving.processes.front_metrics import METRICS
from cnflow.serving.processes.fronts import Fronts
from cnflow.serving.processes.loops import new_loop

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Mapping
    from typing import TypeVar

    from cnflow.config.serving import ServeConfig, VersionConfig
    from cnflow.dataflow import DataFlowKernel

    T = TypeVar("T")

logger = logging.getLogger(__name__)

_ANSWER_TIMEOUT = 25.0
"""Seconds for an answer over the control socket, whose clients wait for 30."""

_LOOK = 0.05

_BEFORE_CUT = 0.1
"""Seconds before the end of `drain_timeout` at which requests count as lost."""

_LAST_ANSWERS = 1.0
"""Seconds in which the answers to requests that are lost go out, when the end is ordered at once."""

_RECORD_PERIOD = 1.0
"""Seconds between two looks at what the record of the run does not have yet."""


class ModelServer:
    """Serves the models of *config* by the executors of *dfk*, from `start` to `close`.

    Args:
        config: models and front.
        dfk: run that has started; it ends after the server.
        on_ready: called once with the server when all models that should be loaded are.
        on_failure: called with the error that ends the server.

    Attributes:
        ended: set once the server is drained, or failed.
        lost: requests of each model that had no result when `drain_timeout` was over, or the end was ordered at once.
    """

    def __init__(
        self,
        config: ServeConfig,
        dfk: DataFlowKernel,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._dfk = dfk
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._run_loop, name="cnflow-serve", daemon=True)
        self._socket: socket.socket | None = None
        self._started = time.monotonic()
        self._draining: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self.ended = threading.Event()
        self.lost: dict[str, int] = {}

    def start(self) -> None:
        """Listen, begin to load the models, and return once requests are accepted.

        Raises:
            ConfigurationError: the port is taken, a model cannot work, or no front starts.
        """
        self._socket = listen(self._config.http)
        self._thread.start()
        try:
            self._wait_for(self._start())
        except BaseException:
            self.ended.set()
            self._stop_loop()
            raise
        self._dfk.answers[CONTROL] = self._reply
        logger.info("serving %s at %s", ", ".join(each.name for each in self._config.models), self.url)

    @property
    def port(self) -> int:
        """TCP port that it listens at."""
        assert self._socket is not None, "start() comes first"
        return int(self._address[1])

    @property
    def url(self) -> str:
        """Address for clients of this machine, or of the network where it listens there."""
        host = self._config.http.listen
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"{'https' if self._config.http.tls_cert else 'http'}://{host}:{self.port}"

    @property
    def is_ready(self) -> bool:
        """True once every model that should be loaded is; False again while it drains."""
        return self._service.is_ready and self._draining is None

    def status(self) -> dict[str, Any]:
        """State of the server, of JSON's types."""
        return self._wait_for(self._in_loop(self._admin.status))

    def command(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Do what an admin asks, such as ``{"do": "roll", "model": "digits", "image": "digits:0.2"}``.

        Raises:
            CnflowError: it is refused, in words.
        """
        return self._wait_for(self._admin.answer(question))

    def order_drain(self) -> None:
        """Begin the end: what was accepted is answered. Safe in a signal handler, and can be called twice."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._begin_drain)

    def order_end(self) -> None:
        """End at once: what has no result is answered with 503. Safe in a signal handler, and can be called twice."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin_end)

    def close(self) -> None:
        """Drain, and return once all has ended."""
        if not self._thread.is_alive():
            return
        self.order_drain()
        self.ended.wait()
        self._stop_loop()

    # In the event loop

    async def _start(self) -> None:
        assert self._socket is not None
        self._address = self._socket.getsockname()
        executors: Any = self._dfk.executors  # those with direct calls are asked for them
        self._figures = ServerFigures(self._dfk.config.sinks)
        self._service = LiveService(
            self._config,
            executors,
            SystemClock(),
            executor_for=self._executor_for,
            observer=self._figures.observer,
        )
        self._figures.service = self._service
        self._admin = AdminCommands(self._service, self._config, self._facts, self._begin_drain, self._executor_for)
        await self._service.start()
        self._fronts: Fronts | None = None
        self._record = None if self._dfk.emit is None else ModelRecord(self._dfk.emit, time.time)
        self._recording = asyncio.ensure_future(self._record_for_ever())
        self._http: HttpServer | None = None
        self._serving: asyncio.Future[None] | None = None
        if self._config.fronts > 1:
            await self._start_fronts(self._socket)
        else:
            admin = RemoteAdmin(self._admin.answer)
            app = build_app(self._service, self._config.http, self._figures.metrics, admin=admin)
            self._http = HttpServer(app, self._config.http, [self._socket])
            self._serving = asyncio.ensure_future(self._http.serve())
        self._watch = asyncio.ensure_future(self._wait_until_ready())

    async def _start_fronts(self, listening: socket.socket) -> None:
        failed: list[Exception] = []

        def on_hopeless(error: Exception) -> None:
            failed.append(error)
            self._fail(error)

        orders = Orders(self._config.http.model_dump_json().encode(), "front", logging.INFO, json_logs=False)
        self._fronts = Fronts(
            service=self._service,
            command=self._answer_front,
            orders=orders,
            sockets=[listening],
            folder=Path(self._dfk.run_dir) / "fronts",
            on_hopeless=on_hopeless,
            on_ended=self._figures.on_front_ended,
        )
        await self._fronts.start(self._config.fronts)
        if failed:
            raise failed[0]

    async def _answer_front(self, question: Mapping[str, Any]) -> dict[str, Any]:
        if question.get("do") == METRICS:
            return {"text": self._figures.render(self._reports())}
        return await self._admin.answer(question)

    def _reports(self) -> list[bytes]:
        return [] if self._fronts is None else self._fronts.reports()

    async def _record_for_ever(self) -> None:
        while self._record is not None:
            try:
                service = self._service
                metrics = functools.partial(self._figures.whole, self._reports())
                self._record.on_look(service.models(), service.calls_now(), metrics)
            except Exception:
                logger.exception("what the models do is missing in the record of the run")
            await asyncio.sleep(_RECORD_PERIOD)

    def _end_record(self) -> None:
        self._recording.cancel()
        record, self._record = self._record, None
        if record is not None:
            try:
                record.close(self._service.calls_now(), self._figures.whole(self._reports()))
            except Exception:
                logger.exception("the last counts of the models are missing in the record of the run")

    def _executor_for(self, version: VersionConfig) -> Any:  # noqa: ANN401 - a live executor of any kind
        return self._dfk.executor_for(AppOptions(image=version.image))

    def _facts(self) -> dict[str, Any]:
        fronts = {0: os.getpid()} if self._fronts is None else self._fronts.pids
        return {
            "url": self.url,
            "pid": os.getpid(),
            "run_dir": str(self._dfk.run_dir),
            "is_draining": self._draining is not None,
            "age": round(time.monotonic() - self._started, 3),
            "fronts": [{"number": number, "pid": pid} for number, pid in fronts.items()],
        }

    async def _wait_until_ready(self) -> None:
        while not self._service.is_ready:  # noqa: ASYNC110 - the seam has no event, and a look costs nothing
            await asyncio.sleep(_LOOK)
        logger.info("all models are loaded, after %.1f s", time.monotonic() - self._started)
        self._on_ready()

    def _begin_drain(self) -> None:
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        settings = self._config.http
        if self._watch is not None:
            self._watch.cancel()
        # uvicorn takes whole seconds; fronts begin after this, so that they still have what they are about to cut off.
        late = settings.drain_delay + max(0.0, int(settings.drain_timeout) - _BEFORE_CUT)
        count = self._loop.call_later(late, self._count_lost)
        try:
            if self._fronts is not None:
                await self._fronts.drain(settings.drain_delay + settings.drain_timeout)
            if self._http is not None and self._serving is not None:
                self._http.drain()
                await self._serving
            if self._socket is not None:
                self._socket.close()
            await self._service.drain(settings.drain_timeout)
            self._end_record()
            await self._service.close()
            await asyncio.to_thread(self._figures.close)
        except Exception as error:
            logger.exception("the server could not be drained")
            self._on_failure(error)
        finally:
            count.cancel()
            self.ended.set()

    def _begin_end(self) -> None:
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        """Let the drain find nothing to wait for; what a slow client still holds up is cut off."""
        self._count_lost()
        self._begin_drain()
        assert self._draining is not None  # it has begun
        try:
            await self._service.close()
            for _ in range(2):  # the second look is at fronts that were killed after the first
                await asyncio.wait([self._draining], timeout=_LAST_ANSWERS)
                if self._fronts is not None:
                    self._fronts.kill()
            self._end_record()
        except Exception as error:
            logger.exception("the server could not be ended in order")
            self._on_failure(error)
        finally:
            self._draining.cancel()
            self.ended.set()

    def _count_lost(self) -> None:
        for name, calls in self._service.calls_now().items():
            if left := calls.running + calls.waiting:  # a later look finds fewer: those before have got their 503
                self.lost[name] = max(left, self.lost.get(name, 0))

    def _fail(self, error: Exception) -> None:
        logger.error("the server ends: %s", error)
        self._on_failure(error)
        self._begin_drain()

    # Threads

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)  # connections of clients who did not read their answer, for one
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=_LAST_ANSWERS))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _stop_loop(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def _wait_for(self, coroutine: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    @staticmethod
    async def _in_loop(function: Callable[[], T]) -> T:
        return function()

    def _reply(self, question: Mapping[str, Any]) -> dict[str, Any]:
        if self.ended.is_set():
            raise ConfigurationError("The server of models has ended; its run ends.")
        future = asyncio.run_coroutine_threadsafe(self._admin.answer(question), self._loop)
        try:
            return future.result(_ANSWER_TIMEOUT)
        except concurrent.futures.TimeoutError:  # a look at an image may take long: it goes on
            future.add_done_callback(_log_late_error)
            return {**self.status(), GOES_ON: True}


def _log_late_error(future: concurrent.futures.Future[dict[str, Any]]) -> None:
    """Log what an admin was not told, since it came too late."""
    if not future.cancelled() and (error := future.exception()) is not None:
        logger.warning("%s", error)

"""`RemoteService`: the service that a front asks, which passes each call on to the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

from cnflow.serving.link.frames import Frames
from cnflow.serving.link.messages import (
    WINDOW,
    Answer,
    Command,
    Drain,
    End,
    Failure,
    GiveUp,
    Greeting,
    More,
    Orders,
    Piece,
    Predict,
    Reply,
    Report,
    State,
    Stream,
    decode_server,
    error_from,
    models_from,
    prediction_from,
)
from cnflow.serving.service import ServingError

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Mapping

    from cnflow.serving.service import ModelCall, ModelStatus, Prediction


class RemoteService:
    """Implements `cnflow.serving.service.ModelService` by the server at the other end of a link.

    Attributes:
        orders: settings of the front, once they have come.
        drain: set when the front is to end, by order, or since the server is gone.
        has_lost_server: True if the server is gone without an order.
    """

    def __init__(self) -> None:
        self.orders: asyncio.Future[Orders] = asyncio.get_running_loop().create_future()
        self.drain = asyncio.Event()
        self.has_lost_server = False
        self._link: Frames | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[int, asyncio.Queue[Piece | End | Failure]] = {}
        self._last = 0
        self._is_ready = False
        self._models: Mapping[str, ModelStatus] = {}

    @classmethod
    async def over(cls, end: socket.socket) -> RemoteService:
        """Connect over *end*."""
        service = cls()
        service._link = await Frames.over(end, service._on_frame, service._on_lost)
        return service

    @property
    def is_ready(self) -> bool:
        """Implements `ModelService.is_ready`, as the server last said."""
        return self._is_ready and not self.drain.is_set()

    def models(self) -> Mapping[str, ModelStatus]:
        """Implements `ModelService.models`, as the server last said."""
        return self._models

    async def predict(self, call: ModelCall) -> Prediction:
        """Implements `ModelService.predict`."""
        number = self._next()
        parts = await self._ask(number, Predict(number, call))
        return prediction_from(call.form, parts)

    async def command(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the server what an admin asks.

        Raises:
            ServingError: it refuses.
        """
        number = self._next()
        answer: dict[str, Any] = await self._ask(number, Command(number, dict(question)))
        return answer

    async def stream(self, call: ModelCall) -> AsyncIterator[Any]:
        """Implements `ModelService.stream`."""
        number, passed_on = self._next(), 0
        pieces = self._streams[number] = asyncio.Queue()
        self._send(Stream(number, call))
        is_open = True
        try:
            while True:
                message = await pieces.get()
                if isinstance(message, Piece):
                    yield message.content
                    passed_on += 1
                    if passed_on == WINDOW // 2:
                        self._send(More(number, passed_on))
                        passed_on = 0
                    continue
                is_open = False
                if isinstance(message, Failure):
                    raise error_from(message)
                return
        finally:
            self._streams.pop(number, None)
            if is_open:
                self._send(GiveUp(number))

    def report(self, content: bytes) -> None:
        """Send the counts of this front."""
        self._send(Report(content))

    def greet(self) -> None:
        """Report that this front accepts connections."""
        self._send(Greeting(os.getpid()))

    def close(self) -> None:
        """Close the link."""
        if self._link is not None:
            self._link.close()

    async def _ask(self, number: int, message: Predict | Command) -> Any:  # noqa: ANN401 - of any kind of call
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(message)
            return await waiting
        except asyncio.CancelledError:
            self._send(GiveUp(number))
            raise
        finally:
            self._waiting.pop(number, None)

    def _send(self, message: Any) -> None:  # noqa: ANN401 - any message of a front
        if self._link is not None and not self._link.is_lost:
            self._link.send(message)
        elif isinstance(message, (Predict, Command, Stream)):
            raise _server_is_gone()

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _on_frame(self, content: memoryview) -> None:
        match decode_server(content):
            case Answer(number, answer) | Reply(number, answer):
                self._settle(number, answer)
            case (Piece(number) | End(number) | Failure(number)) as message if number in self._streams:
                self._streams[number].put_nowait(message)
            case Failure(number) as failure:
                self._settle(number, error_from(failure))
            case State(is_ready) as state:
                self._is_ready, self._models = is_ready, models_from(state)
            case Orders() as orders:
                with contextlib.suppress(asyncio.InvalidStateError):
                    self.orders.set_result(orders)
            case Drain():
                self.drain.set()
            case Piece() | End():
                pass  # of a stream that was given up

    def _settle(self, number: int, value: object) -> None:
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            return
        if isinstance(value, ServingError):
            waiting.set_exception(value)
        else:
            waiting.set_result(value)

    def _on_lost(self) -> None:
        self.has_lost_server = not self.drain.is_set()
        self.drain.set()
        if not self.orders.done():
            self.orders.cancel()
        error = _server_is_gone()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)
        for number, pieces in self._streams.items():
            pieces.put_nowait(Failure(number, str(error), error.status, error.code, error.retry_after, []))


def _server_is_gone() -> ServingError:
    return ServingError("The server of the models has ended. Try again.", 503, "server_gone", retry_after=1.0)

"""`FrontLink`: the server's end of the link to one front; answers its calls by the service."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from cnflow.errors import CnflowError
from cnflow.serving.link.frames import Frames
from cnflow.serving.link.messages import (
    WINDOW,
    Answer,
    Command,
    Drain,
    End,
    GiveUp,
    Greeting,
    More,
    Piece,
    Predict,
    Reply,
    Report,
    Stream,
    call_from,
    decode_front,
    failure_of,
    state_of,
)
from cnflow.serving.service import ServingError
from cnflow.text import describe_error

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from cnflow.serving.link.messages import Orders, State
    from cnflow.serving.service import ModelService

    Answering = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]

logger = logging.getLogger(__name__)


class FrontLink:
    """Answers one front.

    Args:
        service: answers its calls.
        command: answers the questions of admins.
        on_greeting: called once the front accepts connections.
        on_lost: called once it is gone; its calls are given up by then.

    Attributes:
        report: counts that the front sent last.
    """

    def __init__(
        self,
        service: ModelService,
        command: Answering,
        on_greeting: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._service = service
        self._command = command
        self._on_greeting = on_greeting
        self._lost = on_lost
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._room: dict[int, asyncio.Semaphore] = {}
        self._link: Frames | None = None
        self._state: State | None = None
        self._is_draining = False
        self.report = b""

    async def open(self, end: socket.socket, orders: Orders) -> None:
        """Begin over *end*, with *orders* and the state of the service."""
        self._link = await Frames.over(end, self._on_frame, self._on_lost)
        self._link.send(orders)
        self.send_state()
        if self._is_draining:  # since the front was started
            self.drain()

    def send_state(self) -> None:
        """Send the state of the service, if it is another than the last that was sent."""
        state = state_of(self._service.is_ready, self._service.models())
        if self._link is not None and state != self._state:
            self._state = state
            self._link.send(state)

    def drain(self) -> None:
        """Order the front to end once all that it accepted is answered."""
        self._is_draining = True
        if self._link is not None:
            self._link.send(Drain())

    def close(self) -> None:
        """Close the link, and give up the calls of the front."""
        if self._link is not None:
            self._link.close()

    @property
    def in_flight(self) -> int:
        """Number of calls that are not answered."""
        return len(self._calls)

    def _on_frame(self, content: memoryview) -> None:
        match decode_front(content):
            case Predict(number, parts):
                self._begin(number, self._predict(number, parts))
            case Stream(number, parts):
                self._room[number] = asyncio.Semaphore(WINDOW)
                self._begin(number, self._stream(number, parts))
            case Command(number, question):
                self._begin(number, self._answer_command(number, question))
            case Report(report):
                self.report = report
            case Greeting():
                self._on_greeting()
            case (More(number) | GiveUp(number)) as message:
                self._change(number, message)

    def _change(self, number: int, message: More | GiveUp) -> None:
        if isinstance(message, GiveUp):
            if number in self._calls:
                self._calls[number].cancel()
        elif number in self._room:
            for _ in range(message.count):
                self._room[number].release()

    def _begin(self, number: int, call: Coroutine[Any, Any, None]) -> None:
        task = self._calls[number] = asyncio.get_running_loop().create_task(self._finish(number, call))
        task.add_done_callback(lambda _: self._calls.pop(number, None))

    async def _finish(self, number: int, call: Coroutine[Any, Any, None]) -> None:
        assert self._link is not None
        try:
            await call
        except asyncio.CancelledError:
            return  # given up: nobody reads an answer
        except ServingError as error:
            self._link.send(failure_of(number, error))
        except CnflowError as error:
            self._link.send(failure_of(number, ServingError(str(error), 400, "refused")))
        except Exception as error:
            logger.exception("a call failed in the server")
            words = f"The call failed in the server of the models: {describe_error(error)}"
            self._link.send(failure_of(number, ServingError(words, 500, "internal_error")))
        finally:
            self._room.pop(number, None)

    async def _predict(self, number: int, parts: list[Any]) -> None:
        assert self._link is not None
        prediction = await self._service.predict(call_from(parts))
        self._link.send(Answer(number, prediction))

    async def _stream(self, number: int, parts: list[Any]) -> None:
        link, room = self._link, self._room[number]
        assert link is not None
        pieces = self._service.stream(call_from(parts))
        try:
            async for piece in pieces:
                await room.acquire()
                await link.writable()
                link.send(Piece(number, piece))
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()
        link.send(End(number))

    async def _answer_command(self, number: int, question: Mapping[str, Any]) -> None:
        assert self._link is not None
        self._link.send(Reply(number, await self._command(question)))

    def _on_lost(self) -> None:
        for task in list(self._calls.values()):
            task.cancel()
        self._lost()

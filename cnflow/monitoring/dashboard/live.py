"""Server-sent events: a page hears that the database was written to, and asks anew what it shows.

::

    GET /live, /runs/{run}/live ──> "change", at most once a second ──> ... ──> "end": the run has ended
                                     └ nothing new: a comment each 15 s, which keeps proxies from ending the stream
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from cnflow.monitoring.queries.reader import Reader

PERIOD = 1.0
"""Seconds between two looks at the database, and so between two events."""

_KEEP_ALIVE = 15.0
_MOST_STREAMS = 200


class Streams:
    """Streams that are open."""

    def __init__(self) -> None:
        self.count = 0
        self.is_closing = False


def routes() -> list[Route]:
    """Return the routes."""
    return [Route("/live", stream), Route("/runs/{run}/live", stream)]


async def stream(request: Request) -> Response:
    """Return the stream of a run, or of all."""
    streams: Streams = request.app.state.streams
    if streams.count >= _MOST_STREAMS:
        return JSONResponse({"error": "Too many pages are open."}, status_code=503)
    events = changes(request.app.state.reader, str(request.path_params.get("run", "")), streams)
    return StreamingResponse(events, media_type="text/event-stream")


async def changes(reader: Reader, run: str, streams: Streams, period: float = PERIOD) -> AsyncIterator[str]:
    """Yield the events of one stream; *run* is empty for all runs."""
    streams.count += 1
    try:
        yield "retry: 3000\n\n"
        known: object = None
        heard = time.monotonic()
        while not streams.is_closing:
            try:
                change = await run_in_threadpool(reader.change)
                if change != known:
                    ended = bool(run) and (await run_in_threadpool(reader.run, run)).state != "running"
                    yield _event("end" if ended else "change", {})
                    if ended:
                        return
                    known, heard = change, time.monotonic()
            except ConfigurationError as error:  # the database is gone, or the run
                yield _event("end", {"error": str(error)})
                return
            if time.monotonic() - heard > _KEEP_ALIVE:
                heard = time.monotonic()
                yield ": still there\n\n"
            await asyncio.sleep(period)
    finally:
        streams.count -= 1


def _event(name: str, data: dict[str, str]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"

"""What the dashboard does to a run that goes on: cancels a task, drains a block; and the command that repeats a task.

::

    form, or fetch ─> own page? (csrf, Origin, Sec-Fetch-Site) ─> LiveRuns.ask ─control socket─> the run

A page of another site can send a form here, with the cookie where a browser is old; it can read none of our pages, and
so does not know the value of `csrf`.
"""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from cnflow.monitoring.dashboard.reproduction import reproduction_command

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)

_LONGEST_FORM = 64 * 1024
_FORBIDDEN = 403
_CONFLICT = 409


def routes() -> list[Route]:
    """Return the routes."""
    return [
        Route("/runs/{run}/tasks/{task:int}/cancel", cancel_task, methods=["POST"]),
        Route("/runs/{run}/blocks/{executor}/{block}/drain", drain_block, methods=["POST"]),
        Route("/runs/{run}/tasks/{task:int}/command", command),
    ]


async def cancel_task(request: Request) -> Response:
    """Cancel a task."""
    return await _act(request, {"ask": "cancel", "task": request.path_params["task"]})


async def drain_block(request: Request) -> Response:
    """Drain a block: it is given no more tasks, and ends after those that it has."""
    path = request.path_params
    return await _act(request, {"ask": "drain", "executor": path["executor"], "block": path["block"]})


def command(request: Request) -> Response:
    """Return the command that repeats a task, as text."""
    reader, path = request.app.state.reader, request.path_params
    run = reader.run(path["run"])
    return PlainTextResponse(reproduction_command(run, reader.task(run.id, path["task"])))


async def _act(request: Request, order: dict[str, Any]) -> Response:
    await check_own_page(request)
    state = request.app.state
    run = await run_in_threadpool(state.reader.run, request.path_params["run"])
    if run.state != "running":
        raise HTTPException(_CONFLICT, f"The run has {run.state}: nothing can be done to it.")
    if not await run_in_threadpool(state.reader.has_folder, run):
        raise HTTPException(_CONFLICT, f"{run.run_dir} is the folder of a later run by now: nothing can be done.")
    logger.info("asked through the dashboard: %s of run %s", order, run.id)
    reply = await run_in_threadpool(state.live.ask, run.run_dir, order)
    return JSONResponse(reply)


async def check_own_page(request: Request) -> None:
    """Refuse a request that no page of this dashboard sent.

    Raises:
        HTTPException: 403.
    """
    expected = request.state.csrf
    if not expected:
        raise HTTPException(_FORBIDDEN, "This dashboard only shows: it was started with --read-only.")
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    is_foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    given = request.headers.get("x-csrf-token") or await _field(request, "csrf")
    if site not in {"same-origin", "none"} or is_foreign or not hmac.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(_FORBIDDEN, "This was not sent by a page of this dashboard. Load the page anew.")


async def _field(request: Request, name: str) -> str:
    """Return a field of the form that is sent; empty for one that is too long, or no form."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_FORM:
            return ""
    return parse_qs(body.decode("latin-1")).get(name, [""])[0]

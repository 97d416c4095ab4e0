"""Routes of the dashboard, and the rules that hold for all of them.

::

    request ─> Headers ─> Gate (host, token) ─> route ─> page module, or API ─> Reader
                                                  └ ConfigurationError: a page, or JSON, that has its words

A page is ``def NAME(request) -> Response`` in a module of `cnflow.monitoring.dashboard.pages`; Starlette calls it in a
thread. It finds `reader` and `live` in ``request.app.state``, and the token of its forms in ``request.state.csrf``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard import actions, api, live, metrics, pages, rendering
from cnflow.monitoring.dashboard.auth import Gate, Headers
from cnflow.monitoring.dashboard.live_runs import LiveRuns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from cnflow.monitoring.queries.reader import Reader

_PAGES = {
    "/": "runs:runs",
    "/compare": "compare:compare",
    "/runs/{run}": "run:run",
    "/runs/{run}/tasks": "tasks:tasks",
    "/runs/{run}/tasks/{task:int}": "task:task",
    "/runs/{run}/tasks/{task:int}/output/{stream}": "task:output",
    "/runs/{run}/tasks/{task:int}/why": "task:why",
    "/runs/{run}/errors": "errors:errors",
    "/runs/{run}/images": "images:images",
    "/runs/{run}/files": "files:files",
    "/runs/{run}/graph": "graph:graph",
    "/runs/{run}/graph.json": "graph:graph_data",
    "/runs/{run}/workers": "workers:workers",
    "/runs/{run}/blocks": "blocks:blocks",
    "/runs/{run}/blocks/{executor}/{block}/log": "blocks:log",
    "/runs/{run}/blocks/{executor}/{block}": "blocks:block",
    "/runs/{run}/nodes": "nodes:nodes",
    "/runs/{run}/nodes/{manager}": "nodes:node",
    "/runs/{run}/models": "models:models",
    "/runs/{run}/efficiency": "efficiency:efficiency",
}
"""Module and function of each page, by its address."""


def build_app(reader: Reader, *, token: str = "", hosts: tuple[str, ...] = (), can_act: bool = True) -> Starlette:
    """Return the dashboard of *reader*'s database.

    Args:
        reader: that answers its questions.
        token: that a request has to bring; empty for none.
        hosts: names by which it may be called, besides those of loopback; ``*`` for all.
        can_act: False for one that only shows.
    """
    app = Starlette(
        routes=[*_pages(), *api.routes(), *live.routes(), *actions.routes(), *metrics.routes()],
        middleware=[Middleware(Headers), Middleware(Gate, token=token, hosts=hosts, can_act=can_act)],
        exception_handlers={ConfigurationError: _on_bad_question, HTTPException: _on_http_error},
    )
    app.state.reader = reader
    app.state.live = LiveRuns()
    app.state.streams = live.Streams()
    return app


def _pages() -> Iterator[Route | Mount]:
    for address, place in _PAGES.items():
        module, _, function = place.partition(":")
        yield Route(address, getattr(importlib.import_module(f"{pages.__name__}.{module}"), function))
    yield Mount("/static", StaticFiles(directory=rendering.STATIC), name="static")


def _on_bad_question(request: Request, error: Exception) -> Response:
    if is_for_programs(request):
        return JSONResponse({"error": str(error)}, status_code=404)
    return rendering.error_page(request, HTTPException(404, str(error)))


def _on_http_error(request: Request, error: Exception) -> Response:
    if is_for_programs(request):
        status = error.status_code if isinstance(error, HTTPException) else 500
        return JSONResponse({"error": getattr(error, "detail", str(error))}, status_code=status)
    return rendering.error_page(request, error)


def is_for_programs(request: Request) -> bool:
    """Return whether the answer is read by a program, not by a person."""
    return request.url.path.startswith("/api/") or request.method != "GET"

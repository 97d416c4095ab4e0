"""Page of the graph of a run, and its nodes with their places as JSON."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from cnflow.monitoring.dashboard.drawing import drawn
from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

MOST_NODES = 10_000
"""Tasks that are drawn one by one; more are drawn by app."""

GROUPINGS = (("", "automatic"), ("none", "each task"), ("app", "app"), ("app and state", "app and state"))
"""Values of the parameter `group`, and their words."""

_KEPT = 8


def graph(request: Request) -> HTMLResponse:
    """Return the page."""
    return page(
        request,
        "graph.html",
        run=run_of(request),
        groupings=GROUPINGS,
        group=_grouping(request),
        most=MOST_NODES,
    )


def graph_data(request: Request) -> Response:
    """Return the graph as JSON: see `drawing.Drawing`."""
    run, reader = run_of(request), reader_of(request)
    grouping = _grouping(request)
    key = (id(reader), run.id, grouping, str(reader.change()))
    body = _drawings.get(key)
    if body is None:
        body = msgspec.json.encode(drawn(reader.graph(run.id, grouping=grouping, limit=MOST_NODES)))
        _drawings.put(key, body)
    return Response(body, media_type="application/json")


def _grouping(request: Request) -> str:
    given = request.query_params.get("group", "")
    return given if given in dict(GROUPINGS) else ""


class _Kept:
    """The last few drawings: several browsers look at one run, and a run that has ended does not change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: OrderedDict[object, bytes] = OrderedDict()

    def get(self, key: object) -> bytes | None:
        with self._lock:
            return self._bodies.get(key)

    def put(self, key: object, body: bytes) -> None:
        with self._lock:
            self._bodies[key] = body
            while len(self._bodies) > _KEPT:
                self._bodies.popitem(last=False)


_drawings = _Kept()

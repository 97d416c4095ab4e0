"""Pages of the nodes of a run: all managers, and one with its resources over time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from cnflow.monitoring.queries import views

MOST = 500
"""Rows of the list; a larger pool is searched by host."""

_NOT_FOUND = 404


def nodes(request: Request) -> HTMLResponse:
    """Return the page of all."""
    run = run_of(request)
    text = request.query_params.get("text", "")
    found = reader_of(request).nodes(run.id)
    chosen = [node for node in found if _has(node, text)]
    return page(
        request,
        "nodes.html",
        run=run,
        text=text,
        nodes=chosen[:MOST],
        left_out=max(0, len(chosen) - MOST),
        figures=figures(found),
        end=_end_of(run, found),
        lived=lived,
    )


def node(request: Request) -> HTMLResponse:
    """Return the page of one."""
    run = run_of(request)
    manager = request.path_params["manager"]
    found = next((each for each in reader_of(request).nodes(run.id) if each.manager == manager), None)
    if found is None:
        raise HTTPException(_NOT_FOUND, f"The run has no manager {manager}.")
    return page(request, "node.html", run=run, node=found, lived=lived(found, _end_of(run, [found])))


def figures(found: Sequence[views.NodeView]) -> Mapping[str, float]:
    """Return sums over nodes."""
    up = [each for each in found if each.is_up]
    return {
        "nodes": len(found),
        "up": len(up),
        "workers": sum(each.workers for each in up),
        "cores": sum(each.cores for each in up),
        "memory": sum(each.memory_bytes for each in up),
        "tasks": sum(each.tasks for each in found),
    }


def lived(node: views.NodeView, end: float) -> float:
    """Return the seconds that the workers of *node* had in all, until *end* at most."""
    return max(0.0, (node.ended or end) - node.began) * node.workers


def _has(node: views.NodeView, text: str) -> bool:
    wanted = text.lower()
    return any(
        wanted in each.lower() for each in (node.host, node.manager, node.block, node.executor, node.image, node.gpus)
    )


def _end_of(run: views.RunView, found: Sequence[views.NodeView]) -> float:
    """Return until when the nodes were seen: the end of *run*, or now."""
    return run.ended or max([time.time(), *(each.began for each in found)])

"""Pages of the blocks of a run: all of them, and one with its states, nodes and log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from cnflow.monitoring.dashboard.log_parts import part_of
from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of
from cnflow.monitoring.queries.lifetimes import has_ended, lived
from cnflow.run_logs.files import block_logs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from cnflow.monitoring.queries import views

MOST = 500
"""Rows of the list."""

_NOT_FOUND = 404


def blocks(request: Request) -> HTMLResponse:
    """Return the page of all."""
    run = run_of(request)
    found = reader_of(request).blocks(run.id)
    live = {(each.executor, each.block) for each in found if not has_ended(each)} if _is_live(run) else set()
    return page(
        request,
        "blocks.html",
        run=run,
        blocks=found[:MOST],
        left_out=max(0, len(found) - MOST),
        figures=figures(found),
        live_blocks=live,
        lived=lived,
        end=run.ended or time.time(),
    )


def block(request: Request) -> HTMLResponse:
    """Return the page of one: its states, nodes and log."""
    run, reader = run_of(request), reader_of(request)
    executor, number = request.path_params["executor"], request.path_params["block"]
    found = next((each for each in reader.blocks(run.id) if (each.executor, each.block) == (executor, number)), None)
    if found is None:
        raise HTTPException(_NOT_FOUND, f"The run has no block {executor}/{number}.")
    return page(
        request,
        "block.html",
        run=run,
        block=found,
        nodes=[each for each in reader.nodes(run.id) if (each.executor, each.block) == (executor, number)],
        has_log=reader.has_folder(run) and f"{executor}/{number}" in block_logs(Path(run.run_dir)),
        is_live=_is_live(run) and not has_ended(found),
    )


def log(request: Request) -> JSONResponse:
    """Return the part of a block's log after the position `after`."""
    run = run_of(request)
    name = f"{request.path_params['executor']}/{request.path_params['block']}"
    path = block_logs(Path(run.run_dir)).get(name)  # only what lies in the folder of the run, whatever is asked for
    if path is None or not reader_of(request).has_folder(run):
        raise HTTPException(_NOT_FOUND, f"The run has no log of the block {name}.")
    after, named_by = request.query_params.get("after", ""), (Path(run.run_dir), path.parent)
    return JSONResponse(part_of(path, after, is_final=not _is_live(run), named_by=named_by))


def figures(found: Sequence[views.BlockView]) -> Mapping[str, float | None]:
    """Return sums over blocks: number, those that have not ended, cost, and time of workers."""
    costs = [block.usd for block in found if block.usd is not None]
    return {
        "blocks": len(found),
        "live": sum(not has_ended(block) for block in found),
        "tasks": sum(block.tasks for block in found),
        "usd": sum(costs) if costs else None,
        "busy": sum(block.busy_seconds for block in found),
        "worker": sum(block.worker_seconds for block in found),
    }


def _is_live(run: views.RunView) -> bool:
    return run.state == "running"

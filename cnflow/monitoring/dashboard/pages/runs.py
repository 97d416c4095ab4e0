"""Page of all runs: search, filter, and the choice of two to compare."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cnflow.monitoring.dashboard.rendering import page, reader_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LIMIT = 50
"""Runs of one page."""

STATES = ("running", "ended", "crashed")


def runs(request: Request) -> Response:
    """Show the runs of the database, newest first."""
    query = request.query_params
    text, state, before = query.get("text", "").strip(), query.get("state", ""), query.get("before", "")
    state = state if state in STATES else ""
    found = reader_of(request).runs(text=text, state=state, limit=LIMIT + 1, before=before)
    return page(
        request,
        "runs.html",
        runs=found[:LIMIT],
        next=found[LIMIT - 1].id if len(found) > LIMIT else "",
        text=text,
        state=state,
        before=before,
        states=STATES,
        now=time.time(),
        live_url=f"{request.scope.get('root_path', '')}/live",
    )

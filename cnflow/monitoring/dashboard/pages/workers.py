"""Page of what each worker of a run did over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.monitoring.dashboard.rendering import page, run_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse


def workers(request: Request) -> HTMLResponse:
    """Return the page; its bars are fetched by static/gantt.js."""
    return page(request, "workers.html", run=run_of(request))

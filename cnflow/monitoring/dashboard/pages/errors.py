"""Page of a run's failures, grouped by cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LIMIT = 200
"""Causes that are shown, the most frequent first."""


def errors(request: Request) -> Response:
    """Show causes of failures, and how many tasks each has."""
    run = run_of(request)
    groups = reader_of(request).errors(run.id, limit=LIMIT)
    return page(
        request,
        "errors.html",
        run=run,
        groups=groups,
        most=max((group.count for group in groups), default=0),
        limit=LIMIT,
    )

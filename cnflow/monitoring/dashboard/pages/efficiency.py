"""Page of what tasks asked for and what they used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

_LITTLE, _MUCH = 0.5, 1.0


def efficiency(request: Request) -> HTMLResponse:
    """Return the page."""
    run = run_of(request)
    return page(request, "efficiency.html", run=run, usage=reader_of(request).usage(run.id), kind_of=kind_of)


def kind_of(used: float | None, asked: float | None) -> str:
    """Return the class of a bar: ``low`` where most was not used, ``high`` where more was used than asked for."""
    if used is None or not asked:
        return ""
    return "low" if used / asked < _LITTLE else "high" if used / asked > _MUCH else ""

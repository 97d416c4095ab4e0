"""Page of the images that a run used: digests, and where each was used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def images(request: Request) -> Response:
    """Show the images of a run."""
    run = run_of(request)
    return page(request, "images.html", run=run, images=reader_of(request).images(run.id))

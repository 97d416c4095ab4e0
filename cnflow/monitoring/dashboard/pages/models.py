"""Page of the models that a run serves: versions, figures, and what happened to them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from cnflow.monitoring.queries import views

CHANGES = 100
"""Changes that are shown, the newest first."""


def models(request: Request) -> Response:
    """Show the models of a run."""
    run = run_of(request)
    reader = reader_of(request)
    versions = reader.models(run.id)
    by_model = {name: list(each) for name, each in itertools.groupby(versions, key=lambda version: version.model)}
    return page(
        request,
        "models.html",
        run=run,
        models=by_model,
        figures=figures(by_model),
        changes=reader.model_changes(run.id, limit=CHANGES),
        limit=CHANGES,
        rows_of_a_batch=rows_of_a_batch,
    )


def figures(by_model: Mapping[str, Sequence[views.ModelView]]) -> Mapping[str, float]:
    """Return sums over the versions."""
    versions = [version for each in by_model.values() for version in each]
    return {
        "models": len(by_model),
        "requests": sum(version.requests for version in versions),
        "errors": sum(version.errors for version in versions),
        "refused": sum(version.refused for version in versions),
        "rows": sum(version.rows for version in versions),
        "now": sum(version.in_flight or 0 for version in versions),
        "waiting": sum(max(version.waiting or 0 for version in each) for each in by_model.values()),
    }


def rows_of_a_batch(version: views.ModelView) -> float | None:
    """Return the mean rows of the batches of *version*."""
    return version.rows / version.batches if version.batches else None

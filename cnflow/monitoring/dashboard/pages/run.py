"""Page of one run: how far it is, how fast it goes, its apps, and what went wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cnflow.monitoring.dashboard.pages.progress import mean_speed, remaining, speed
from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from cnflow.monitoring.queries import views

_ERRORS_SHOWN = 5
_APPS_SHOWN = 200


def run(request: Request) -> Response:
    """Show the progress of a run."""
    reader, shown = reader_of(request), run_of(request)
    states = reader.states(shown.id)
    apps = sorted(reader.apps(shown.id), key=lambda app: (-sum(app.states.values()), app.app))
    now = time.time()
    return page(
        request,
        "run.html",
        run=shown,
        states=states,
        figures=figures(shown, states, reader.steps(shown.id) if shown.state == "running" else (), now),
        apps=apps[:_APPS_SHOWN],
        apps_left_out=max(0, len(apps) - _APPS_SHOWN),
        errors=reader.errors(shown.id, limit=_ERRORS_SHOWN),
        now=now,
    )


def figures(
    run: views.RunView, states: Mapping[str, int], steps: Sequence[views.Step], now: float
) -> dict[str, float | None]:
    """Return counts, speed and remaining time of a run. No I/O."""
    total = sum(states.values())
    ended = sum(states.get(state, 0) for state in ("done", "failed", "dependency_failed", "cancelled"))
    is_running = run.state == "running"
    rate = speed(steps, now) if is_running else mean_speed(run, now)
    return {
        "total": total,
        "ended": ended,
        "active": sum(states.get(state, 0) for state in ("launched", "staging_in", "running", "staging_out")),
        "waiting": states.get("waiting", 0),
        "failed": states.get("failed", 0) + states.get("dependency_failed", 0),
        "speed": rate,
        "left": remaining(total - ended, rate) if is_running else None,
        "length": (run.ended or now) - run.began,
    }

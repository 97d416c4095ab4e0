"""Page that compares two runs: their figures, their apps, and their progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard.rendering import page, reader_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from cnflow.monitoring.queries import views
    from cnflow.monitoring.queries.reader import Reader

_NOT_FOUND, _BAD = 404, 400
_RUNS = 2
_ALIKE = 0.02
"""Share of a difference that is none: two runs are never alike to the last millisecond."""


class Chosen(NamedTuple):
    """One of the runs."""

    label: str
    run: views.RunView


class Figure(NamedTuple):
    """One figure of both runs."""

    name: str
    kind: str
    """Filter of its text: number, seconds or moment."""

    first: float | None
    second: float | None
    is_better: bool | None
    """Whether the second run is better; None where that is no question, or they are alike."""

    change: str


class AppRow(NamedTuple):
    """One app in both runs."""

    app: str
    tasks: tuple[int, int]
    failed: tuple[int, int]
    mean: Figure


def compare(request: Request) -> HTMLResponse:
    """Return the page for the runs `run=A&run=B`."""
    names = request.query_params.getlist("run")
    if len(names) != _RUNS:
        raise HTTPException(_BAD, "Two runs are compared: choose two on the page of runs.")
    reader = reader_of(request)
    try:
        first, second = (reader.run(name) for name in names)
    except ConfigurationError as error:
        raise HTTPException(_NOT_FOUND, str(error)) from error
    return page(
        request,
        "compare.html",
        chosen=[Chosen(_label(first, second, "A"), first), Chosen(_label(second, first, "B"), second)],
        figures=figures_of(first, second, now=time.time()),
        apps=_apps(reader, first, second),
    )


def figures_of(first: views.RunView, second: views.RunView, *, now: float) -> list[Figure]:
    """Return the figures of two runs, as of *now* for one that goes on."""
    took = [(run.ended or now) - run.began for run in (first, second)]
    rates = [run.done / seconds if seconds > 0 else None for run, seconds in zip((first, second), took, strict=True)]
    return [
        Figure("Took", "seconds", took[0], took[1], _is_less(took[0], took[1]), _change(took[0], took[1])),
        _more("Tasks", first.tasks, second.tasks, matters=False),
        _more("Done", first.done, second.done, matters=False),
        Figure(
            "Failed",
            "number",
            first.failed,
            second.failed,
            _is_less(first.failed, second.failed),
            _change(first.failed, second.failed),
        ),
        _more("Cancelled", first.cancelled, second.cancelled, matters=False),
        _more("Done per second", rates[0], rates[1], matters=True),
    ]


def _more(name: str, first: float | None, second: float | None, *, matters: bool) -> Figure:
    is_better = _is_less(second, first) if matters else None
    return Figure(name, "number", first, second, is_better, _change(first, second))


def _is_less(first: float | None, second: float | None) -> bool | None:
    """Return whether *second* is less than *first*; None where they are alike or not known."""
    if first is None or second is None or abs(second - first) <= _ALIKE * max(abs(first), abs(second)):
        return None
    return second < first


def _change(first: float | None, second: float | None) -> str:
    if first is None or second is None:
        return ""
    if first == second:
        return "="
    return f"{100 * (second - first) / first:+,.0f} %" if first else "new"


def _apps(reader: Reader, first: views.RunView, second: views.RunView) -> list[AppRow]:
    found: Sequence[Mapping[str, views.AppView]] = [
        {each.app: each for each in reader.apps(run.id)} for run in (first, second)
    ]
    names = sorted({*found[0], *found[1]}, key=lambda app: -sum(_ended(each.get(app)) for each in found))
    rows = []
    for app in names:
        one, other = (each.get(app) for each in found)
        means = _mean(one), _mean(other)
        mean = Figure(app, "seconds", means[0], means[1], _is_less(*means), _change(*means))
        rows.append(AppRow(app, (_tasks(one), _tasks(other)), (_failed(one), _failed(other)), mean))
    return rows


def _tasks(app: views.AppView | None) -> int:
    return sum(app.states.values()) if app else 0


def _failed(app: views.AppView | None) -> int:
    return app.states.get("failed", 0) + app.states.get("dependency_failed", 0) if app else 0


def _ended(app: views.AppView | None) -> int:
    return app.states.get("done", 0) + app.states.get("failed", 0) if app else 0


def _mean(app: views.AppView | None) -> float | None:
    return app.run_seconds / _ended(app) if app and _ended(app) else None


def _label(run: views.RunView, other: views.RunView, letter: str) -> str:
    """Return the name of *run*, with *letter* where both have one name."""
    name = run.name or run.id
    return f"{letter}: {name}" if name == (other.name or other.id) else name

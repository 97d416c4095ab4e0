"""Asks the database what the report of a run shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.monitoring.queries.filters import parse_filter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.monitoring.queries import views
    from cnflow.monitoring.queries.reader import Reader

POINTS = 400
"""Intervals of the progress."""

_BARS = 4_000
"""Tries, or groups of short ones, in the plot of workers."""

_FAILURES = 100
_ROWS = 200
"""Rows of a table."""


class RunReport(NamedTuple):
    """All that the report of one run shows."""

    run: views.RunView
    states: Mapping[str, int]
    apps: Sequence[views.AppView]
    steps: Sequence[views.Step]
    bars: Sequence[views.Bar]
    errors: Sequence[views.ErrorGroup]
    failed: Sequence[views.TaskView]
    blocks: Sequence[views.BlockView]
    nodes: Sequence[views.NodeView]
    images: Sequence[views.ImageView]
    usage: Sequence[views.Usage]
    made: float
    """Unix time."""

    models: Sequence[views.ModelView] = ()


def collect(reader: Reader, run: str, now: float) -> RunReport:
    """Return the report of the run with the id *run*, made at *now*."""
    failed = reader.tasks(run, where=parse_filter({"state": "failed"}), limit=_FAILURES)
    return RunReport(
        run=reader.run(run),
        states=reader.states(run),
        apps=reader.apps(run),
        steps=reader.steps(run, points=POINTS),
        bars=reader.bars(run, limit=_BARS),
        errors=reader.errors(run, limit=_ROWS),
        failed=failed.tasks,
        blocks=reader.blocks(run)[:_ROWS],
        nodes=reader.nodes(run, limit=_ROWS),
        images=reader.images(run),
        usage=reader.usage(run),
        made=now,
        models=reader.models(run),
    )

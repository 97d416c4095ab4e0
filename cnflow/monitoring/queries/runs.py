"""Questions about whole runs: their list, counts, progress."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select

from cnflow.errors import ConfigurationError
from cnflow.monitoring.queries import views
from cnflow.monitoring.queries.filters import STATES
from cnflow.monitoring.queries.times import unix
from cnflow.monitoring.store.schema import progress, task, workflow
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

_NEAREST = 200
"""Runs among which a name that is not known is looked for."""

_FEW_TASKS = 20_000
"""Tasks of a run up to which counts by app are taken from the tasks themselves."""


def runs(connection: Connection, *, text: str, state: str, limit: int, before: str) -> Sequence[views.RunView]:
    """Return runs, newest first; see `Reader.runs`."""
    columns = workflow.c
    wanted = select(workflow).order_by(columns.time_began.desc(), columns.run_id.desc()).limit(limit)
    if text:
        searched = (columns.workflow_name, columns.script, columns.rundir, columns.host, columns.user, columns.run_id)
        wanted = wanted.where(or_(*(column.icontains(text, autoescape=True) for column in searched)))
    if state:
        wanted = wanted.where(columns.state == state)
    if before:
        began = select(columns.time_began).where(columns.run_id == before).scalar_subquery()
        wanted = wanted.where(
            or_(columns.time_began < began, (columns.time_began == began) & (columns.run_id < before))
        )
    return [_run_view(row) for row in connection.execute(wanted)]


def run(connection: Connection, name: str) -> views.RunView:
    """Return one run; see `Reader.run`."""
    columns = workflow.c
    newest = select(workflow).order_by(columns.time_began.desc(), columns.run_id.desc())
    if not name:
        row = connection.execute(newest.limit(1)).first()
        if row is None:
            raise ConfigurationError("The database has no run yet.")
        return _run_view(row)
    row = connection.execute(select(workflow).where(columns.run_id == name)).first()
    if row is None:
        folder = str(Path(name).absolute())
        by_folder = or_(columns.rundir == folder, columns.rundir.endswith(f"/{name}", autoescape=True))
        row = connection.execute(newest.where(by_folder).limit(1)).first()
    if row is None:
        recent = connection.execute(newest.limit(_NEAREST)).all()
        known = [each.run_id for each in recent] + [Path(each.rundir).name for each in recent]
        examples = ", ".join(Path(each.rundir).name for each in recent[:5])
        raise ConfigurationError(
            f"There is no run {name!r}.{did_you_mean(name, known)} Newest: {examples or '(none)'}."
        )
    return _run_view(row)


def newest_in(connection: Connection, folder: str) -> str:
    """Return the id of the newest run that had *folder* as its own; empty for none."""
    columns = workflow.c
    newest = select(columns.run_id).order_by(columns.time_began.desc(), columns.run_id.desc()).limit(1)
    return connection.execute(newest.where(columns.rundir == folder)).scalar() or ""


def states(connection: Connection, run_id: str) -> dict[str, int]:
    """Return counts of tasks by state; of a long run, those that are done are taken from the counts of seconds."""
    columns, by_second = task.c, progress.c
    done = connection.execute(select(func.sum(by_second.done)).where(by_second.run_id == run_id)).scalar() or 0
    counted = select(columns.task_state, func.count()).where(columns.run_id == run_id).group_by(columns.task_state)
    if done > _FEW_TASKS:
        others = counted.where(columns.task_state.in_([state for state in STATES if state != "done"]))
        return {"done": int(done), **{row[0]: row[1] for row in connection.execute(others)}}
    return {row[0]: row[1] for row in connection.execute(counted)}


def apps(connection: Connection, run_id: str) -> Sequence[views.AppView]:
    """Return counts by app: exact for a run of few tasks, else from the counts of each second."""
    columns, by_second = task.c, progress.c
    names = ("submitted", "launched", "done", "failed", "cancelled", "run_seconds")
    summed = select(by_second.task_func_name, *(func.sum(by_second[name]).label(name) for name in names))
    summed = summed.where(by_second.run_id == run_id).group_by(by_second.task_func_name)
    totals = {row.task_func_name: row for row in connection.execute(summed)}
    if sum(row.submitted for row in totals.values()) > _FEW_TASKS:
        found = [(app, _states_of(row)) for app, row in totals.items()]
    else:
        counted = select(columns.task_func_name, columns.task_state, func.count()).where(columns.run_id == run_id)
        counted = counted.group_by(columns.task_func_name, columns.task_state).order_by(columns.task_func_name)
        rows = connection.execute(counted)
        found = [
            (app, {state: count for _, state, count in group})
            for app, group in itertools.groupby(rows, key=lambda row: str(row[0]))
        ]
    return [
        views.AppView(app=app, states=states, run_seconds=totals[app].run_seconds if app in totals else 0.0)
        for app, states in sorted(found)
    ]


def steps(connection: Connection, found: views.RunView, *, points: int, app: str) -> Sequence[views.Step]:
    """Return the progress of a run in at most *points* equal intervals, those without a change included."""
    columns = progress.c
    mine = [columns.run_id == found.id, *([columns.task_func_name == app] if app else [])]
    first, last = connection.execute(select(func.min(columns.second), func.max(columns.second)).where(*mine)).one()
    if first is None:
        return []
    last = max(int(last), int(min(time.time(), found.ended or time.time())))
    width = max(1, math.ceil((last - first + 1) / max(points, 1)))
    names = ("submitted", "launched", "done", "failed", "cancelled")
    number = ((columns.second - first) // width).label("number")
    # Grouped by that name: PostgreSQL takes the same expression with parameters of its own for another one.
    summed = select(number, *(func.sum(columns[name]).label(name) for name in names))
    rows = {int(row.number): row for row in connection.execute(summed.where(*mine).group_by("number"))}
    return [
        views.Step(
            time=float(first + place * width),
            **{name: int(getattr(rows[place], name)) if place in rows else 0 for name in names},
        )
        for place in range((last - first) // width + 1)
    ]


def _states_of(row: Row[Any]) -> dict[str, int]:
    ended = {"done": row.done, "failed": row.failed, "cancelled": row.cancelled}
    unfinished = row.submitted - sum(ended.values())
    launched = min(max(row.launched - sum(ended.values()), 0), unfinished)
    counts = {"waiting": unfinished - launched, "launched": launched, **ended}
    return {state: count for state, count in counts.items() if count > 0}


def _run_view(row: Row[Any]) -> views.RunView:
    return views.RunView(
        id=row.run_id,
        name=row.workflow_name or "",
        version=row.workflow_version or "",
        state=row.state,
        began=unix(row.time_began) or 0.0,
        ended=unix(row.time_completed or (row.time_updated if row.state == "crashed" else None)),
        host=row.host,
        user=row.user,
        run_dir=row.rundir,
        script=row.script or "",
        tasks=row.tasks_count,
        done=row.tasks_completed_count,
        failed=row.tasks_failed_count,
        cancelled=row.tasks_cancelled_count,
        samples_dropped=row.samples_dropped_count,
    )

"""Questions about workers: what each did, over time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from cnflow.monitoring.queries import views
from cnflow.monitoring.queries.sampling import chunks, sampled
from cnflow.monitoring.queries.times import moment_of, unix
from cnflow.monitoring.store import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row
    from sqlalchemy.sql import Select

_SAMPLE = 20_000
"""Tasks that are read at most; of a longer run, some stand for all."""

_MARGIN = 5_000
"""Tasks before the first that ended in the time asked for, which may have run in it, too."""


def bars(
    connection: Connection, run: views.RunView, *, start: float | None, end: float | None, limit: int
) -> list[views.Bar]:
    """Return what each worker did; see `Reader.bars`.

    Of a run of many tasks, those of the time asked for are read, or some of them by chance, and some of those before.
    """
    wanted = _tries(run.id)
    tries = schema.attempt.c
    if start is not None:
        returned = tries.task_try_time_returned
        wanted = wanted.where(returned.is_(None) | (returned >= moment_of(start)))
    if end is not None:
        wanted = wanted.where(tries.task_try_time_running <= moment_of(end))
    found, until = [], run.ended or time.time()  # of a try without an end
    for some in chunks(_ids(connection, run.id, start, end)):
        rows = connection.execute(wanted.where(tries.task_id.in_(some)))
        found += [_bar(row, until) for row in rows if row.manager_id]  # a condition would lead SQLite to another index
    return merge_bars(found, limit)


def _ids(connection: Connection, run_id: str, start: float | None, end: float | None) -> Sequence[int]:
    columns = schema.task.c
    last = connection.execute(select(func.max(columns.task_id)).where(columns.run_id == run_id)).scalar()
    tasks = 0 if last is None else int(last) + 1
    if tasks <= _SAMPLE:
        return range(tasks)
    final = tasks if end is None else _bisect(connection, run_id, columns.task_time_invoked, end, tasks)
    first = 0 if start is None else _bisect(connection, run_id, columns.task_time_returned, start, tasks) - _MARGIN
    first = min(max(first, 0), final)
    return sorted({*sampled(range(first), _SAMPLE // 4), *sampled(range(first, final), _SAMPLE)})


def _bisect(connection: Connection, run_id: str, column: Any, moment: float, tasks: int) -> int:  # noqa: ANN401
    """Return the first task whose *column* is later than *moment*, as far as tasks come to it in their order."""
    low, high, wanted = 0, tasks, moment_of(moment)
    while low < high:
        middle = (low + high) // 2
        place = (schema.task.c.run_id == run_id, schema.task.c.task_id == middle)
        found = connection.execute(select(column).where(*place)).scalar()
        if found is not None and found <= wanted:
            low = middle + 1
        else:
            high = middle
    return low


def _tries(run_id: str) -> Select[Any]:
    columns, tasks = schema.attempt.c, schema.task.c
    joined = schema.attempt.join(schema.task, (tasks.run_id == columns.run_id) & (tasks.task_id == columns.task_id))
    chosen = (
        columns.manager_id,
        columns.hostname,
        columns.worker,
        columns.task_try_time_running,
        columns.task_try_time_returned,
        columns.task_id,
        columns.state,
        tasks.task_func_name,
    )
    is_there = (columns.run_id == run_id, columns.task_try_time_running.is_not(None))
    return select(*chosen).select_from(joined).where(*is_there)


def _bar(row: Row[Any], until: float) -> views.Bar:
    start = unix(row.task_try_time_running) or 0.0
    end = unix(row.task_try_time_returned) or until
    return views.Bar(
        manager=row.manager_id,
        host=row.hostname or "",
        worker=-1 if row.worker is None else row.worker,
        start=start,
        end=max(start, end),  # a clock may have been set back
        task=row.task_id,
        app=row.task_func_name,
        state=row.state or "",
    )


def merge_bars(found: Sequence[views.Bar], limit: int) -> list[views.Bar]:
    """Put short bars of one worker together until there are at most *limit*, or one for each worker. No I/O.

    Bars are joined where the gap between them is smaller than a width, which is doubled as often as needed; one that is
    joined has the app, the task and the state of the longest, and the worst state of all is kept.
    """
    made = sorted(found, key=lambda bar: (bar.manager, bar.worker, bar.start))
    if len(made) <= limit:
        return made
    width = (max(bar.end for bar in made) - min(bar.start for bar in made)) / max(limit, 1) / 8 or 0.001
    places = len({(bar.manager, bar.worker) for bar in made})
    while len(made) > max(limit, places):
        made = _joined(made, width)
        width *= 2
    return made


def _joined(found: Sequence[views.Bar], width: float) -> list[views.Bar]:
    made: list[views.Bar] = []
    for bar in found:
        last = made[-1] if made else None
        is_near = (
            last is not None
            and (last.manager, last.worker) == (bar.manager, bar.worker)
            and bar.start - last.end < width
            and (last.end - last.start < width or bar.end - bar.start < width)
        )
        if last is None or not is_near:
            made.append(bar)
            continue
        longest = last if last.end - last.start >= bar.end - bar.start else bar
        made[-1] = views.Bar(
            manager=bar.manager,
            host=bar.host,
            worker=bar.worker,
            start=last.start,
            end=max(last.end, bar.end),
            task=longest.task,
            app=longest.app,
            state="failed" if "failed" in {last.state, bar.state} else longest.state,
            count=last.count + bar.count,
        )
    return made

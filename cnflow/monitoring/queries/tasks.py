"""Questions about tasks: pages of them by key, one with all that is known, its resources, errors and files."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from cnflow.errors import ConfigurationError
from cnflow.monitoring.queries import filters, views
from cnflow.monitoring.queries.times import unix
from cnflow.monitoring.store import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row
    from sqlalchemy.sql import Select

    from cnflow.monitoring.queries.filters import TaskFilter

_FIRST_WINDOW = 8_000
"""Ids that the first statement of a page looks at; after a quick one that found little, the next looks at more."""

_LARGEST_WINDOW = 512_000
_PATIENCE = 0.1
"""Seconds of search after which a page is given as it is, with the place to go on from."""

_NEEDED_BY = 1_000
_FILES_OF_A_TASK = 10_000
_STATES = ("pending", "launched", "staging_in", "running", "staging_out", "running_ended")
"""States of a try that is not over, in their order."""

_ROW = (
    "task_id",
    "task_func_name",
    "task_state",
    "task_executor",
    "task_image",
    "task_hostname",
    "task_time_invoked",
    "task_time_returned",
    "task_run_seconds",
    "task_fail_count",
    "task_error",
    "task_error_group",
)


def page(
    connection: Connection, run_id: str, *, where: TaskFilter, limit: int, after: int | None, before: int | None
) -> views.Page:
    """Return tasks by id.

    Ids are looked at in windows, so that a filter that few tasks pass costs a bounded time: a page that has fewer than
    *limit* tasks, and a `next` (or `previous`), goes on there.
    """
    last = connection.execute(select(func.max(schema.task.c.task_id)).where(schema.task.c.run_id == run_id)).scalar()
    if last is None:
        return views.Page(tasks=[], next=None, previous=None)
    if before is not None and after is None:
        rows, edge = _search_back(connection, run_id, where, limit, min(before, last + 1))
        end = rows[-1].task_id if rows else before - 1
        return views.Page(tasks=_views(connection, run_id, rows), next=end if end < last else None, previous=edge)
    rows, edge_after = _search(connection, run_id, where, limit, -1 if after is None else after, last)
    start = (rows[0].task_id if rows else (after or 0) + 1) if after is not None and after >= 0 else None
    return views.Page(tasks=_views(connection, run_id, rows), next=edge_after, previous=start)


def _search(
    connection: Connection, run_id: str, where: TaskFilter, limit: int, after: int, last: int
) -> tuple[list[Row[Any]], int | None]:
    """Rows after *after*, and the id after which the search goes on; None at the end."""
    found: list[Row[Any]] = []
    begun, window = time.monotonic(), max(_FIRST_WINDOW, limit)
    while after < last:
        end = min(after + window, last)
        ids = schema.task.c.task_id
        wanted = _rows(run_id, where).where(ids > after, ids <= end).order_by(ids).limit(limit - len(found) + 1)
        found += connection.execute(wanted)
        if len(found) > limit:
            return found[:limit], found[limit - 1].task_id
        spent = time.monotonic() - begun
        after, window = end, _next_window(window, spent)
        if spent > _PATIENCE and after < last:
            return found, after
    return found, None


def _search_back(
    connection: Connection, run_id: str, where: TaskFilter, limit: int, before: int
) -> tuple[list[Row[Any]], int | None]:
    """Rows before *before*, in the order of ids, and the id before which the search goes on."""
    found: list[Row[Any]] = []
    begun, window = time.monotonic(), max(_FIRST_WINDOW, limit)
    while before > 0:
        start = max(before - window, 0)
        ids = schema.task.c.task_id
        wanted = _rows(run_id, where).where(ids < before, ids >= start)
        found += connection.execute(wanted.order_by(ids.desc()).limit(limit - len(found) + 1))
        if len(found) > limit:
            return found[:limit][::-1], found[limit - 1].task_id
        spent = time.monotonic() - begun
        before, window = start, _next_window(window, spent)
        if spent > _PATIENCE and before > 0:
            return found[::-1], before
    return found[::-1], None


def _next_window(window: int, spent: float) -> int:
    return window if spent > _PATIENCE / 4 else min(window * 4, _LARGEST_WINDOW)


def _rows(run_id: str, where: TaskFilter) -> Select[Any]:
    columns = schema.task.c
    chosen = select(*(columns[name] for name in _ROW))
    return chosen.where(columns.run_id == run_id, *filters.conditions(where))


def _views(connection: Connection, run_id: str, rows: Sequence[Row[Any]]) -> list[views.TaskView]:
    columns = schema.attempt.c
    ids = [row.task_id for row in rows]
    counted = select(columns.task_id, func.count()).where(columns.run_id == run_id, columns.task_id.in_(ids))
    tries: dict[int, int] = (
        {row[0]: row[1] for row in connection.execute(counted.group_by(columns.task_id))} if ids else {}
    )
    return [_task_view(row, tries.get(row.task_id, 0)) for row in rows]


def _task_view(row: Row[Any], tries: int) -> views.TaskView:
    return views.TaskView(
        id=row.task_id,
        app=row.task_func_name,
        state=row.task_state,
        executor=row.task_executor or "",
        image=row.task_image or "",
        host=row.task_hostname or "",
        submitted=unix(row.task_time_invoked),
        ended=unix(row.task_time_returned),
        run_seconds=row.task_run_seconds,
        tries=tries,
        error=row.task_error or "",
        error_group=row.task_error_group or "",
    )


def detail(connection: Connection, run_id: str, number: int) -> views.TaskDetail:
    """Return everything about one task; see `Reader.task`."""
    columns = schema.task.c
    row = connection.execute(select(schema.task).where(columns.run_id == run_id, columns.task_id == number)).first()
    if row is None:
        last = connection.execute(select(func.max(columns.task_id)).where(columns.run_id == run_id)).scalar()
        known = f"its last is {last}" if last is not None else "it has none yet"
        raise ConfigurationError(f"The run {run_id} has no task {number}: {known}.")
    attempts = _tries(connection, run_id, number)
    return views.TaskDetail(
        task=_task_view(row, len(attempts)),
        depends=_depends(row.task_depends),
        needed_by=_needed_by(connection, run_id, number),
        arguments=row.task_arguments or "",
        resources=resources_of(row.task_resources),
        inputs=row.task_inputs or "",
        outputs=row.task_outputs or "",
        stdout=row.task_stdout or "",
        stderr=row.task_stderr or "",
        memoized=row.task_memoize in {"True", "1", "true"},
        tries=attempts,
        statuses=_statuses(connection, run_id, number),
        files=files(connection, run_id, text="", limit=1_000, after=number - 1, last=number),
    )


def _depends(text: str | None) -> list[int]:
    return [int(each) for each in (text or "").split(",") if each.strip().isdecimal()]


def resources_of(text: str | None) -> dict[str, object]:
    """Return what was asked for, from the JSON of a row; nothing where it is none."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _needed_by(connection: Connection, run_id: str, number: int) -> list[int]:
    columns = schema.dependency.c
    wanted = select(columns.task_id).where(columns.run_id == run_id, columns.needs == number)
    return list(connection.execute(wanted.order_by(columns.task_id).limit(_NEEDED_BY)).scalars())


def _tries(connection: Connection, run_id: str, number: int) -> list[views.TryView]:
    columns = schema.attempt.c
    wanted = select(schema.attempt).where(columns.run_id == run_id, columns.task_id == number)
    return [
        views.TryView(
            number=row.try_id,
            state=row.state or "",
            executor=row.task_executor,
            block=row.block_id or "",
            manager=row.manager_id or "",
            worker=row.worker,
            host=row.hostname or "",
            image=row.image or "",
            launched=unix(row.task_try_time_launched),
            running=unix(row.task_try_time_running),
            ended=unix(row.task_try_time_returned),
            error_type=row.error_type or "",
            error=row.task_fail_history or "",
            traceback=row.traceback or "",
            stderr_tail=row.stderr_tail or "",
            exit_code=row.exit_code,
            signal=row.signal or "",
            cpu_seconds=row.cpu_seconds,
            peak_rss_bytes=row.peak_rss_bytes,
            read_bytes=row.read_bytes,
            written_bytes=row.written_bytes,
            gpu_peak_bytes=row.gpu_peak_bytes,
        )
        for row in connection.execute(wanted.order_by(columns.try_id))
    ]


def _statuses(connection: Connection, run_id: str, number: int) -> list[views.StatusView]:
    columns = schema.status.c
    wanted = select(schema.status).where(columns.run_id == run_id, columns.task_id == number)
    found = [
        views.StatusView(number=row.try_id, state=row.task_status_name, time=unix(row.timestamp) or 0.0)
        for row in connection.execute(wanted.order_by(columns.timestamp, columns.try_id).limit(1_000))
    ]
    return sorted(found, key=_in_order)


def _in_order(status: views.StatusView) -> tuple[float, int, int]:
    """Sort key; a task that waits for nothing is pending and launched at the same moment."""
    rank = _STATES.index(status.state) if status.state in _STATES else len(_STATES)
    return status.time, status.number, rank


def samples(connection: Connection, run_id: str, number: int, *, points: int) -> list[views.SampleView]:
    """Return the resources of a task over time, at most *points*: every n-th, and the last."""
    columns = schema.resource.c
    mine = (columns.run_id == run_id, columns.task_id == number)
    count = connection.execute(select(func.count()).where(*mine)).scalar() or 0
    every = max(1, -(-count // max(points, 1)))
    rows = list(connection.execute(select(schema.resource).where(*mine).order_by(columns.try_id, columns.timestamp)))
    kept = [row for place, row in enumerate(rows) if place % every == 0 or place == count - 1]
    return [
        views.SampleView(
            time=unix(row.timestamp) or 0.0,
            number=row.try_id,
            cpu_seconds=_sum(row.psutil_process_time_user, row.psutil_process_time_system),
            rss_bytes=row.psutil_process_memory_resident,
            read_bytes=row.psutil_process_disk_read,
            written_bytes=row.psutil_process_disk_write,
            gpu_bytes=row.gpu_memory,
            gpu_percent=row.gpu_percent,
        )
        for row in kept
    ]


def _sum(user: float | None, system: float | None) -> float | None:
    return None if user is None and system is None else (user or 0.0) + (system or 0.0)


def files(
    connection: Connection, run_id: str, *, text: str, limit: int, after: int, last: int | None = None
) -> list[views.FileView]:
    """Return files of the tasks after *after*, up to *last*: about *limit*, and all of the last task among them.

    The next part begins after that task, whose further files would be left out otherwise.
    """
    columns = schema.file.c
    wanted = select(schema.file).where(columns.run_id == run_id, columns.task_id > after)
    if last is not None:
        wanted = wanted.where(columns.task_id <= last)
    if text:
        wanted = wanted.where(columns.url.icontains(text, autoescape=True))
    order = (columns.task_id, columns.try_id, columns.direction, columns.url)
    rows = list(connection.execute(wanted.order_by(*order).limit(limit)))
    if last is None and len(rows) >= limit:
        number = rows[-1].task_id
        rest = wanted.where(columns.task_id == number).order_by(*order)
        rest = rest.offset(sum(row.task_id == number for row in rows)).limit(_FILES_OF_A_TASK)
        rows += connection.execute(rest)
    return [
        views.FileView(
            task=row.task_id,
            number=row.try_id,
            direction=row.direction,
            url=row.url,
            state=row.state or "",
            bytes=row.bytes,
            seconds=row.seconds,
            host=row.hostname or "",
            error=row.error or "",
        )
        for row in rows
    ]


def errors(connection: Connection, run_id: str, *, limit: int) -> list[views.ErrorGroup]:
    """Return causes of failures, the most frequent first."""
    columns = schema.error_group.c
    wanted = select(schema.error_group).where(columns.run_id == run_id)
    return [
        views.ErrorGroup(
            id=row.error_group,
            type=row.error_type,
            app=row.task_func_name,
            message=row.message,
            count=row._mapping["count"],  # noqa: SLF001 - a public name; `row.count` is the tuple's
            first_task=row.first_task,
            first=unix(row.first_time) or 0.0,
            last=unix(row.last_time) or 0.0,
        )
        for row in connection.execute(wanted.order_by(columns.count.desc(), columns.error_group).limit(limit))
    ]

"""Questions about where tasks ran: blocks, nodes, workers, images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from cnflow.monitoring.queries import views
from cnflow.monitoring.queries.lifetimes import ENDED
from cnflow.monitoring.queries.times import unix
from cnflow.monitoring.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

_LEAST_COST = 0.001
"""Dollars; less is what a block has cost when it begins to run."""

_RUNNING = 100_000
"""Tries that go on whose time is counted."""

_APPS_OF_AN_IMAGE = 20
_TASKS_OF_AN_IMAGE = 2_000
"""Tasks among which the apps of an image are looked for."""


def blocks(connection: Connection, found: views.RunView) -> list[views.BlockView]:
    """Return the blocks, newest first."""
    columns = schema.block.c
    order = (columns.executor_label, columns.block_id, columns.timestamp)
    rows = connection.execute(select(schema.block).where(columns.run_id == found.id).order_by(*order))
    reports: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in rows:
        reports.setdefault((row.executor_label, row.block_id), []).append(row)
    by_block: dict[tuple[str, str], list[views.NodeView]] = {}
    for node in nodes(connection, found, limit=100_000):
        by_block.setdefault((node.executor, node.block), []).append(node)
    made = [_block_view(each, by_block.get(place, []), found) for place, each in reports.items()]
    return sorted(made, key=lambda block: block.first, reverse=True)


def _block_view(
    reports: Sequence[Row[Any]], managers: Sequence[views.NodeView], found: views.RunView
) -> views.BlockView:
    last = reports[-1]
    end = found.ended or time.time()
    return views.BlockView(
        executor=last.executor_label,
        block=last.block_id,
        native=_last(row.job_id for row in reports) or "",
        provider=_last(row.provider for row in reports) or "",
        state=last.status,
        reason=last.reason or "",
        first=unix(reports[0].timestamp) or 0.0,
        last=unix(last.timestamp) or 0.0,
        statuses=[(unix(row.timestamp) or 0.0, row.status, row.reason or "") for row in reports],
        usd=_cost(last.status, _last(row.usd for row in reports)),
        tasks=sum(node.tasks for node in managers),
        busy_seconds=sum(node.busy_seconds for node in managers),
        worker_seconds=sum(node.workers * max((node.ended or end) - node.began, 0.0) for node in managers),
    )


def _cost(status: str, usd: float | None) -> float | None:
    """Return the cost of a block; None where it is not known: it is reported with its states."""
    return None if usd is not None and usd < _LEAST_COST and status.upper() not in ENDED else usd


def _last(values: Iterable[Any]) -> Any:  # noqa: ANN401 - a column's value
    return next((value for value in reversed(list(values)) if value not in {None, ""}), None)


def nodes(connection: Connection, found: views.RunView, *, limit: int) -> list[views.NodeView]:
    """Return the managers, by host; tries that go on count as busy from their start until now."""
    columns = schema.node.c
    going_on = _going_on(connection, found.id) if found.state == "running" else {}
    wanted = select(schema.node).where(columns.run_id == found.id).order_by(columns.hostname, columns.timestamp)
    return [
        views.NodeView(
            manager=row.id,
            executor=row.executor_label,
            block=row.block_id,
            host=row.hostname,
            workers=row.worker_count,
            cores=row.cpu_count,
            memory_bytes=row.total_memory,
            gpus=row.gpus or "",
            image=row.image or "",
            python=row.python_v,
            is_up=bool(row.active) and found.state == "running",
            began=unix(row.timestamp) or 0.0,
            ended=unix(row.time_ended),
            reason=row.reason or "",
            tasks=row.tasks_count,
            busy_seconds=row.busy_seconds + going_on.get(row.id, 0.0),
        )
        for row in connection.execute(wanted.limit(limit))
    ]


def _going_on(connection: Connection, run_id: str) -> dict[str, float]:
    """Return for how long the running tries of each manager have run, in seconds, summed."""
    tasks, tries, now = schema.task.c, schema.attempt.c, time.time()
    of_running = (tasks.run_id == run_id, tasks.task_state == "running", tries.task_try_time_returned.is_(None))
    both = schema.task.join(schema.attempt, (tries.run_id == tasks.run_id) & (tries.task_id == tasks.task_id))
    wanted = select(tries.manager_id, tries.task_try_time_running).select_from(both).where(*of_running)
    seconds: dict[str, float] = {}
    for manager, began in connection.execute(wanted.limit(_RUNNING)):
        if manager is not None and began is not None:
            seconds[manager] = seconds.get(manager, 0.0) + max(now - (unix(began) or now), 0.0)
    return seconds


def node_samples(connection: Connection, run_id: str, manager: str, *, points: int) -> list[views.SampleView]:
    """Return the resources of a node over time, at most *points*: every n-th, and the last."""
    columns = schema.node_resource.c
    mine = (columns.run_id == run_id, columns.id == manager)
    rows = list(connection.execute(select(schema.node_resource).where(*mine).order_by(columns.timestamp)))
    every = max(1, -(-len(rows) // max(points, 1)))
    return [
        views.SampleView(
            time=unix(row.timestamp) or 0.0,
            number=0,
            cpu_seconds=row.cpu_percent,
            rss_bytes=row.memory_bytes,
            read_bytes=row.read_bytes,
            written_bytes=row.written_bytes,
            gpu_bytes=row.gpu_memory,
            gpu_percent=row.gpu_percent,
        )
        for place, row in enumerate(rows)
        if place % every == 0 or place == len(rows) - 1
    ]


def images(connection: Connection, run_id: str) -> list[views.ImageView]:
    """Return the images."""
    columns, tasks, node = schema.image.c, schema.task.c, schema.node.c
    counted = select(node.image, func.count()).where(node.run_id == run_id).group_by(node.image)
    used: dict[str | None, int] = {row[0]: row[1] for row in connection.execute(counted)}
    found = []
    for row in connection.execute(select(schema.image).where(columns.run_id == run_id).order_by(columns.image)).all():
        some = select(tasks.task_func_name).where(tasks.run_id == run_id, tasks.task_image == row.image)
        apps = select(some.limit(_TASKS_OF_AN_IMAGE).subquery().c.task_func_name).distinct()
        found.append(
            views.ImageView(
                image=row.image,
                reference=row.reference or "",
                digest=row.digest or "",
                image_id=row.image_id or "",
                python=row.python or "",
                packages=row.packages or "",
                tasks=row.tasks_count,
                nodes=used.get(row.image, 0),
                apps=sorted(connection.execute(apps.limit(_APPS_OF_AN_IMAGE)).scalars()),
            )
        )
    return found

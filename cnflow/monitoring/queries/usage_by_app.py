"""Questions about resources: what tasks of each app asked for and used."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from cnflow.monitoring.queries import views
from cnflow.monitoring.queries.advice import Measured, advise
from cnflow.monitoring.queries.sampling import CHUNK, chunks, sampled
from cnflow.monitoring.queries.tasks import resources_of
from cnflow.monitoring.store import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

_SAMPLE = 20_000
"""Tasks, taken by chance from all, from which the resources of an app are judged."""


def usage(connection: Connection, run_id: str) -> list[views.Usage]:
    """Return asked and used resources by app."""
    by_app: dict[str, list[Row[Any]]] = {}
    for row in _rows(connection, run_id):
        by_app.setdefault(row.task_func_name, []).append(row)
    return [_usage(app, rows, _gpu_percent(connection, run_id, rows)) for app, rows in sorted(by_app.items())]


def _rows(connection: Connection, run_id: str) -> list[Row[Any]]:
    """Return tries of a sample of the tasks, with what was asked for them."""
    tasks, tries = schema.task.c, schema.attempt.c
    last = connection.execute(select(func.max(tasks.task_id)).where(tasks.run_id == run_id)).scalar()
    joined = schema.task.join(schema.attempt, (tries.run_id == tasks.run_id) & (tries.task_id == tasks.task_id))
    wanted = (
        select(
            tasks.task_id,
            tasks.task_func_name,
            tasks.task_resources,
            tasks.task_run_seconds,
            tries.cpu_seconds,
            tries.peak_rss_bytes,
            tries.gpu_peak_bytes,
            tries.signal,
        )
        .select_from(joined)
        .where(tasks.run_id == run_id, tries.task_try_time_returned.is_not(None))
    )
    found: list[Row[Any]] = []
    for some in chunks(sampled(range(0 if last is None else last + 1), _SAMPLE)):
        found += connection.execute(wanted.where(tasks.task_id.in_(some)))
    return found


def _gpu_percent(connection: Connection, run_id: str, rows: Sequence[Row[Any]]) -> float | None:
    """Mean use of the devices of those tries that had one, while they ran."""
    ids = sorted({row.task_id for row in rows if row.gpu_peak_bytes is not None})[:CHUNK]
    samples = schema.resource.c
    mean = select(func.avg(samples.gpu_percent)).where(samples.run_id == run_id, samples.task_id.in_(ids))
    return connection.execute(mean).scalar() if ids else None


def _usage(app: str, rows: Sequence[Row[Any]], gpu_percent: float | None) -> views.Usage:
    asked = _asked(rows)
    measured = [row for row in rows if row.cpu_seconds is not None]
    seconds = sum(row.task_run_seconds or 0.0 for row in measured)
    peaks = sorted(row.peak_rss_bytes for row in rows if row.peak_rss_bytes is not None)
    cores, memory, gpus = (asked.get(name) for name in ("cores", "memory", "gpus"))
    use = Measured(
        tasks=len(measured),
        out_of_memory=sum(row.signal == "OOM" for row in rows),
        asked_cores=cores,
        used_cores=sum(row.cpu_seconds for row in measured) / seconds if seconds else None,
        mean_seconds=seconds / len(measured) if measured else None,
        asked_memory=None if memory is None else int(memory),
        peak_memory=peaks[-1] if peaks else None,
        gpus=gpus,
        gpu_percent=gpu_percent,
    )
    return views.Usage(
        app=app,
        tasks=len(rows),
        asked_cores=use.asked_cores,
        used_cores=use.used_cores,
        asked_memory_bytes=use.asked_memory,
        peak_memory_bytes=use.peak_memory,
        median_peak_bytes=int(statistics.median(peaks)) if peaks else None,
        gpus=gpus,
        gpu_percent=gpu_percent,
        advice=advise(use),
    )


def _asked(rows: Sequence[Row[Any]]) -> dict[str, float]:
    """Return the most that a task of the app asked for, by resource."""
    asked: dict[str, float] = {}
    for text in {row.task_resources for row in rows if row.task_resources}:
        for name, value in resources_of(text).items():
            if isinstance(value, int | float) and value > asked.get(name, 0):
                asked[name] = float(value)
    return asked

"""Questions about served models: their versions, progress and changes."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import case, func, select

from cnflow.model.model_events import ModelEvent
from cnflow.monitoring.queries import views
from cnflow.monitoring.queries.times import unix
from cnflow.monitoring.store import schema
from cnflow.monitoring.store.histograms import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    Histograms = dict[tuple[str, str, str], list[tuple[float, int]]]

_GONE = "gone"
_MOST_VERSIONS = 1_000


def versions(connection: Connection, found: views.RunView) -> list[views.ModelView]:
    """Return the versions by model, those that are served first; without those that are gone and had no requests."""
    columns = schema.model_version.c
    wanted = select(schema.model_version).where(columns.run_id == found.id)
    wanted = wanted.order_by(columns.model, columns.time_first, columns.version).limit(_MOST_VERSIONS)
    rows = connection.execute(wanted).all()
    histograms = _histograms(connection, found.id) if rows else {}
    made = [_version_view(row, histograms, is_over=found.state != "running") for row in rows]
    kept = [each for each in made if each.state != _GONE or each.requests or each.copies]
    return sorted(kept, key=lambda each: (each.model, not each.version, each.state == _GONE))


def _histograms(connection: Connection, run_id: str) -> Histograms:
    columns = schema.model_histogram.c
    found: Histograms = {}
    wanted = select(columns.model, columns.version, columns.kind, columns.upper, columns["count"])
    for model, version, kind, upper, count in connection.execute(wanted.where(columns.run_id == run_id)):
        found.setdefault((model, version, kind), []).append((upper, count))
    return found


def _version_view(row: Row[Any], histograms: Histograms, *, is_over: bool) -> views.ModelView:
    def quantiles(kind: str) -> tuple[float | None, float | None, float | None]:
        buckets = histograms.get((row.model, row.version, kind), [])
        return quantile(buckets, 0.5), quantile(buckets, 0.95), quantile(buckets, 0.99)

    return views.ModelView(
        model=row.model,
        version=row.version,
        state=_GONE if is_over and row.state else row.state,
        reason=row.reason or "",
        image=row.image or "",
        digest=row.digest or "",
        weight=row.weight,
        is_shadow=bool(row.is_shadow),
        workers=row.workers,
        in_flight=row.in_flight,
        waiting=row.waiting,
        first=unix(row.time_first) or 0.0,
        last=unix(row.time_updated) or 0.0,
        requests=row.requests_count,
        refused=row.refused_count,
        errors=row.errors_count,
        rows=row.rows_count,
        batches=row.batches_count,
        copies=row.copies_count,
        copy_errors=row.copy_errors_count,
        pieces=row.pieces_count,
        attempts=row.attempts_count,
        latency=quantiles("latency"),
        queue=quantiles("queue"),
        compute=quantiles("compute"),
        batch_sizes=sorted(histograms.get((row.model, row.version, "batch"), [])),
    )


def steps(
    connection: Connection, found: views.RunView, *, points: int, model: str, version: str
) -> Sequence[views.ModelStep]:
    """Return the progress of a model in at most *points* equal intervals of at least 5 s; without a name, of all."""
    columns = schema.model_progress.c
    mine = [columns.run_id == found.id, *([columns.model == model] if model else [])]
    if version:
        mine.append(columns.version == version)
    first, last = connection.execute(select(func.min(columns.second), func.max(columns.second)).where(*mine)).one()
    if first is None:
        return []
    last = max(int(last), int(min(time.time(), found.ended or time.time())))
    width = max(_LEAST_WIDTH, math.ceil((last - first + 1) / max(points, 1)))
    number = ((columns.second - first) // width).label("number")
    timed = case((columns.latency_p50.is_(None), 0), else_=columns.requests)
    summed = select(
        number,
        *(func.sum(columns[name]).label(name) for name in _SUMMED),
        *(func.max(columns[name]).label(name) for name in ("in_flight", "waiting", "latency_p99")),
        func.sum(timed).label("timed"),
        func.sum(timed * columns.latency_p50).label("p50"),
    )
    rows = {int(row.number): row for row in connection.execute(summed.where(*mine).group_by("number"))}
    return [_step(float(first + place * width), rows.get(place)) for place in range((last - first) // width + 1)]


_LEAST_WIDTH = 5
"""Seconds between two figures of a server: shorter intervals would be empty in turn."""

_SUMMED = ("requests", "refused", "errors", "rows", "batches")


def _step(moment: float, row: Any) -> views.ModelStep:  # noqa: ANN401 - a row of the query above, or None
    if row is None:
        nothing = dict.fromkeys(_SUMMED, 0)
        return views.ModelStep(time=moment, **nothing, in_flight=None, waiting=None, latency_p50=None, latency_p99=None)
    return views.ModelStep(
        time=moment,
        **{name: int(getattr(row, name)) for name in _SUMMED},
        in_flight=row.in_flight,
        waiting=row.waiting,
        latency_p50=row.p50 / row.timed if row.timed else None,
        latency_p99=row.latency_p99,
    )


def changes(connection: Connection, run_id: str, *, limit: int) -> list[views.ModelChange]:
    """Return what happened to models, newest first."""
    columns = schema.event.c
    mine = (columns.run_id == run_id, columns.kind == "model")
    wanted = select(columns.timestamp, columns.text).where(*mine).order_by(columns.number.desc()).limit(limit)
    return [_change(unix(row.timestamp) or 0.0, row.text or "") for row in connection.execute(wanted)]


def _change(moment: float, text: str) -> views.ModelChange:
    try:
        event = msgspec.json.decode(text, type=ModelEvent)
    except msgspec.DecodeError:  # of another version
        event = ModelEvent(time=moment, model="", version="", state="unknown", reason=text)
    return views.ModelChange(
        time=moment,
        model=event.model,
        version=event.version,
        state=event.state,
        reason=event.reason,
        weights=event.weights,
        executor=event.executor,
        manager=event.manager,
        worker=event.worker,
        seconds=event.seconds if event.seconds >= 0 else None,
    )

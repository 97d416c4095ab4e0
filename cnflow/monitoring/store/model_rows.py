"""Rows of served models: their versions, what their requests came to, and what happened to them. No I/O.

::

    ModelEvent ────> event, and the state in model_version      ModelFigures ──> model_version, counts added up
                                                                            ├──> model_histogram, likewise
                                                                            └──> model_progress, one for each interval
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model import events as ev
from cnflow.monitoring.store.histograms import quantile
from cnflow.monitoring.store.node_rows import put_event
from cnflow.monitoring.store.values import known, text_or_none

if TYPE_CHECKING:
    from cnflow.model.events import AnyEvent
    from cnflow.monitoring.store.changes import Changes, Row
    from cnflow.monitoring.store.node_rows import Handler

STATES = frozenset({"loading", "ready", "asleep", "failed", "draining", "gone"})
"""States of a version; what else a `ModelEvent` reports is an event alone."""


def on_event(changes: Changes) -> Handler:
    """Return what makes rows of `ModelEvent`."""

    def handle(event: AnyEvent, number: int) -> None:
        assert isinstance(event, ev.ModelEvent)
        subject = f"{event.model}@{event.version}" if event.version else event.model
        put_event(changes, number, event, event.executor, subject)
        if event.state not in STATES:
            return
        row: Row = {
            "state": event.state,
            "reason": text_or_none(event.reason),
            "time_first": event.time,
            "time_updated": event.time,
        }
        if event.image:
            row["image"] = event.image
        if event.digest:
            row["digest"] = event.digest
        if event.state == "gone":
            row |= {"weight": 0.0, "workers": 0, "in_flight": 0, "waiting": 0, "is_shadow": False}
        changes.put("model_version", (event.model, event.version), row)

    return handle


def on_figures(changes: Changes) -> Handler:
    """Return what makes rows of `ModelFigures`."""

    def handle(event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.ModelFigures)
        key = (event.model, event.version)
        changes.put("model_version", key, _state_row(event))
        counts = {
            "requests_count": event.requests,
            "refused_count": event.refused,
            "errors_count": event.errors,
            "rows_count": event.rows,
            "batches_count": event.batches,
            "copies_count": event.copies,
            "copy_errors_count": event.copy_errors,
            "pieces_count": event.pieces,
            "attempts_count": event.attempts,
        }
        changes.add("model_version", key, {name: count for name, count in counts.items() if count})
        for kind, buckets in event.histograms.items():
            for upper, count in buckets:
                changes.add("model_histogram", (*key, kind, upper), {"count": count})
        _put_progress(changes, event)

    return handle


def _state_row(event: ev.ModelFigures) -> Row:
    row: Row = {"time_first": event.time, "time_updated": event.time, "waiting": known(event.waiting)}
    if event.state:  # else none of a version that is served now
        row |= {
            "state": event.state,
            "reason": text_or_none(event.reason),
            "image": text_or_none(event.image),
            "digest": text_or_none(event.digest),
            "weight": known(event.weight),
            "is_shadow": event.is_shadow,
            "workers": known(event.workers),
            "in_flight": known(event.in_flight),
        }
    return row


def _put_progress(changes: Changes, event: ev.ModelFigures) -> None:
    key = (int(event.time), event.model, event.version)
    counts = {
        "requests": event.requests,
        "refused": event.refused,
        "errors": event.errors,
        "rows": event.rows,
        "batches": event.batches,
    }
    row: Row = {
        "in_flight": known(event.in_flight),
        "waiting": known(event.waiting),
        "workers": known(event.workers),
    }
    latency = event.histograms.get("latency", [])
    if latency:
        row |= {"latency_p50": quantile(latency, 0.5), "latency_p99": quantile(latency, 0.99)}
    changes.put("model_progress", key, row)
    changes.add("model_progress", key, counts)

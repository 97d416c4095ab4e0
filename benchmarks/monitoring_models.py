"""Adds served models to a database of `benchmarks.monitoring_data`: two versions in a roll, a shadow, failures."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from sqlalchemy import create_engine

from cnflow.model.model_events import ModelEvent, ModelFigures
from cnflow.monitoring.store.memory import Memory
from cnflow.monitoring.store.rows import RowMaker
from cnflow.monitoring.store.statements import Clock, groups, update, upsert, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnflow.model.events import AnyEvent

_INTERVAL = 5.0
_POSITION = 1_000_000_000
"""Place in the journal of its events, behind all others."""


def add_models(path: Path, *, run: str, intervals: int = 120, seed: int = 0) -> None:
    """Add models to the run *run* of the file at *path*: *intervals* figures of each version."""
    maker = RowMaker(Memory())
    maker.take(_POSITION, list(_events(time.time() - intervals * _INTERVAL, intervals, random.Random(seed))))  # noqa: S311
    changes, clock = maker.finish(), Clock()
    changes.rows.pop("workflow", None)
    with create_engine(f"sqlite:///{path}").begin() as connection:
        for make, tables in ((upsert, changes.rows), (update, changes.updates)):
            for table, rows in tables.items():
                for names, items in groups(rows).items():
                    statement = make(table, names, "sqlite")
                    values = list(values_of(statement, run, items, clock))
                    connection.connection.cursor().executemany(statement.sql, values)


def _events(start: float, intervals: int, chance: random.Random) -> Iterator[AnyEvent]:
    image = "ghcr.io/lab/digits:0.2"
    yield ModelEvent(time=start, model="digits", version="0.1", state="loading", image="ghcr.io/lab/digits:0.1")
    yield ModelEvent(
        time=start + 2, model="digits", version="0.1", state="loaded", manager="m000", worker=0, seconds=1.8
    )
    yield ModelEvent(time=start + 2, model="digits", version="", state="weights", weights={"0.1": 1.0})
    yield ModelEvent(
        time=start + 60,
        model="digits",
        version="0.2",
        state="load_failed",
        manager="m001",
        worker=3,
        reason="ModuleNotFoundError: No module named 'digits'\n<script>alert(1)</script>",
    )
    yield ModelEvent(time=start + 90, model="digits", version="0.2", state="ready", image=image)
    yield ModelEvent(time=start + 95, model="digits", version="", state="weights", weights={"0.1": 0.9, "0.2": 0.1})
    for number in range(intervals):
        now = start + number * _INTERVAL
        yield _figures(now, "0.1", 0.9, chance, is_shadow=False)
        yield _figures(now, "0.2", 0.1, chance, is_shadow=False)
        yield _figures(now, "0.3-rc", 0.0, chance, is_shadow=True)
        if number % 10 == 0:
            yield ModelFigures(
                time=now, model="digits", version="", interval=_INTERVAL, requests=3, refused=3, waiting=12
            )


def _figures(now: float, version: str, weight: float, chance: random.Random, *, is_shadow: bool) -> ModelFigures:
    requests = int(chance.gauss(2_000, 200) * weight)
    batches = max(1, requests // 6)
    fast = max(1, int(requests * 0.9))
    return ModelFigures(
        time=now,
        model="digits",
        version=version,
        interval=_INTERVAL,
        state="ready",
        image=f"ghcr.io/lab/digits:{version}",
        digest="ab" * 32,
        weight=weight,
        is_shadow=is_shadow,
        workers=4,
        in_flight=chance.randrange(20),
        waiting=chance.randrange(5),
        requests=requests,
        errors=requests // 500,
        rows=6 * batches,
        batches=batches,
        copies=200 if is_shadow else 0,
        copy_errors=1 if is_shadow else 0,
        histograms={
            "latency": [(0.005, fast), (0.025, max(1, requests - fast))],
            "queue": [(0.0025, max(1, requests))],
            "compute": [(0.001, max(1, requests))],
            "batch": [(4.0, batches // 2), (8.0, batches)],
        },
    )

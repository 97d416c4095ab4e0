"""Counts of futures while they settle, and the words for them, for `cnflow.progress` and ``cnflow run``."""

from __future__ import annotations

import collections
import threading
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow import loaded_run
from cnflow.dataflow.futures.app_future import failure_in, title_of_future
from cnflow.model.status import StagingTotals
from cnflow.text import amount_of_memory, brief_duration, describe_safely, duration, in_a_sentence
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

_ESTIMATE_FROM = 2.0
"""Seconds after which the time left is estimated."""

_LONGEST_ERROR = 300
"""Characters."""


class AppCounts(NamedTuple):
    """Futures of one app at one time."""

    total: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0


class Counts(NamedTuple):
    """Futures at one time."""

    total: int
    done: int = 0
    """Those with a result."""

    failed: int = 0
    cancelled: int = 0
    elapsed: Seconds = Seconds(0.0)
    first_error: str = ""
    """Task and error of the first that failed."""

    staging: StagingTotals = StagingTotals()
    """Files of the run that are on their way."""

    apps: Mapping[str, AppCounts] = MappingProxyType({})
    """By the app's name, in the order in which they appear; futures without a name are in none."""

    @property
    def settled(self) -> int:
        """Those with any outcome."""
        return self.done + self.failed + self.cancelled

    @property
    def is_over(self) -> bool:
        """True once all are settled."""
        return self.settled == self.total


class Tally:
    """Counts outcomes of futures as they come, without a look at those that are unfinished.

    Args:
        futures: to count; their callbacks call this object from any thread.
        clock: monotonic, in seconds.
    """

    def __init__(self, futures: list[Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._changed = threading.Condition()
        self._total = len(futures)
        self._done = self._failed = self._cancelled = 0
        self._first_error = ""
        self._apps = _apps_of(futures)
        for future in futures:
            future.add_done_callback(self._on_done)

    def counts(self) -> Counts:
        """Return the counts of now."""
        with self._changed:
            outcomes = self._done, self._failed, self._cancelled
            elapsed = Seconds(self._clock() - self._began)
            apps = {name: AppCounts(*numbers) for name, numbers in self._apps.items()}
            return Counts(self._total, *outcomes, elapsed, self._first_error, _files_on_their_way(), apps)

    def wait_for_change(self, settled: int, timeout: float) -> None:
        """Return when more than *settled* futures are settled, at the latest after *timeout* seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._settled != settled, timeout)

    def wait_for_all(self, timeout: float | None = None) -> None:
        """Return when all futures are settled, at the latest after *timeout* seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._settled == self._total, timeout)

    @property
    def _settled(self) -> int:
        return self._done + self._failed + self._cancelled

    def _on_done(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else failure_in(future)
        text = "" if error is None or self._first_error else _in_one_line(future, error)
        with self._changed:
            numbers = self._apps.get(_app_of(future)) or [0] * len(AppCounts._fields)
            if future.cancelled():
                self._cancelled += 1
                numbers[3] += 1
            elif error is None:
                self._done += 1
                numbers[1] += 1
            else:
                self._failed += 1
                numbers[2] += 1
                self._first_error = self._first_error or text
            self._changed.notify_all()


def _app_of(future: Future[Any]) -> str:
    """Name of the app; of an attribute's value, since asking a future for one that it lacks makes another future."""
    name = vars(future).get("name", "")
    return name if isinstance(name, str) else ""


def _apps_of(futures: list[Any]) -> dict[str, list[int]]:
    """Numbers of `AppCounts` by app."""
    totals = collections.Counter(map(_app_of, futures))
    return {name: [total, 0, 0, 0] for name, total in totals.items() if name}


def _in_one_line(future: Future[Any], error: BaseException) -> str:
    text = f"{title_of_future(future)}: {describe_safely(error)}"
    return "".join(mark if mark.isprintable() else " " for mark in " ".join(text.split()))[:_LONGEST_ERROR]


def line_of(counts: Counts) -> str:
    """``110 of 200 done, 3 failed, 8.0 s, about 7 s left``."""
    parts = [f"{counts.done} of {counts.total} done"]
    parts += [f"{number} {word}" for number, word in _misses(counts) if number]
    parts.append(brief_duration(counts.elapsed))
    left = seconds_left(counts)
    parts += [f"about {duration(left)} left"] if left is not None else []
    return ", ".join([*parts, *staging_parts(counts.staging)])


def staging_parts(totals: StagingTotals) -> list[str]:
    """``3 files on their way``, ``5 MB of them moved`` and ``1 MB a second``, as far as there is something."""
    if not totals.files:
        return []
    parts = [f"{totals.files} file{'' if totals.files == 1 else 's'} on their way"]
    parts += [f"{amount_of_memory(totals.size)} of them moved"] if totals.size else []
    return parts + ([f"{amount_of_memory(int(totals.rate))} a second"] if totals.rate else [])


def _files_on_their_way() -> StagingTotals:
    run = loaded_run.current()
    return StagingTotals() if run is None else run.staging_totals()


def error_of(counts: Counts) -> str:
    """``first failure: task 3 (sort): ValueError: ...`` once all are settled; empty before, and without a failure."""
    return f"first failure: {in_a_sentence(counts.first_error)}" if counts.is_over and counts.first_error else ""


def _misses(counts: Counts) -> list[tuple[int, str]]:
    return [(counts.failed, "failed"), (counts.cancelled, "cancelled")]


def seconds_left(counts: Counts) -> Seconds | None:
    """Time until all are settled at the rate so far; None while nothing can be estimated."""
    if not counts.settled or counts.is_over or counts.elapsed < _ESTIMATE_FROM:
        return None
    return Seconds(counts.elapsed / counts.settled * (counts.total - counts.settled))

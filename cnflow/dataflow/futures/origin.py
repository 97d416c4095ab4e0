"""Makes a future's `Provenance` of what its task left behind.

::

    Outcome ──TaskRecord.keep_place──> the future ──┬── asked ─────────> Provenance
                                                    └── cached result ─> Origin, kept with it ──> futures that get it
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cnflow.model.provenance import Origin, Place, Provenance

if TYPE_CHECKING:
    from cnflow.dataflow.futures.app_future import AppFuture

_ATTEMPTED = frozenset({"launched", "running", "staging_out"})

# ruff: noqa: SLF001 - public names of a future would hide a result's


def provenance_of(future: AppFuture) -> Provenance:
    """Return where and when the task of *future* ran, as far as that is known now."""
    origin, place = origin_of(future), future._place
    fields: dict[str, Any] = {} if place is None else origin.place._asdict()
    if place is None:
        fields["executor"] = future._executor or future.task_record.executor
    return Provenance(
        task=future.tid,
        app=future.name,
        **fields,
        submitted=_unix(future._began),
        started=origin.started,
        ended=origin.ended,
        attempts=origin.attempts,
        is_cached=future._cached,
    )


def origin_of(future: AppFuture) -> Origin:
    """Return place and times of the last attempt at the task of *future*."""
    place = future._place or Place("", "")
    if not future._cached:
        place = place.complete()
    ended = future._stopped or (_unix(future._ended) if future._ended and not future._cached else None)
    started = ended - future._seconds if ended is not None and future._seconds else None
    return Origin(place, started, ended, _attempts_of(future))


def give_origin(future: AppFuture, origin: Origin | None, key: bytes | None = None) -> None:
    """Give *future* the origin and the *key* of the remembered result that it gets; None: that is not known."""
    future._cached, future._key = True, key
    if origin is not None:
        future._place, future._stopped = origin.place, origin.ended or 0.0
        future._seconds = 0.0 if origin.started is None or origin.ended is None else origin.ended - origin.started
        future._failures = max(origin.attempts - 1, 0)


def _attempts_of(future: AppFuture) -> int:
    if future._cached:
        return future._failures + 1 if future._place is not None else 0
    if not future._ended:  # not final: how far it is, its record tells
        return future.task_record.fail_count + (future.task_status() in _ATTEMPTED)
    if future.cancelled():  # counts as a failure, also where it did not begin
        return max(0, future._failures - (future._place is None))
    return future._failures + (future._exception is None)


def _unix(moment: float) -> float:
    """Return the Unix time of a *moment* of `time.monotonic`."""
    return time.time() - (time.monotonic() - moment)

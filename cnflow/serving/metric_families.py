"""Names and meanings of the metrics of served models, of which docs/reference/serving.md has a table. No I/O."""

from __future__ import annotations

from typing import NamedTuple

SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
"""Buckets of durations, the same in each version: quantiles of several servers can be added up."""

ROWS_OF_A_BATCH = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0)


class Family(NamedTuple):
    """A metric, and its labels."""

    name: str
    words: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()
    """Upper ends of the buckets of a histogram."""

    def with_labels(self, values: tuple[str, ...]) -> dict[str, str]:
        """Return *values* by the names of the labels."""
        return dict(zip(self.labels, values, strict=True))


class Gauge(NamedTuple):
    """One value of a gauge."""

    family: Family
    labels: tuple[str, ...]
    value: float


_VERSION = ("model", "version")

REQUESTS = Family(
    "cnflow_serving_requests_total",
    "Requests by the HTTP status of their answer; 499 if the client has gone before it",
    (*_VERSION, "status"),
)
CALLS = Family(
    "cnflow_serving_calls_total", "Calls that have ended, by ok or the code of their error", (*_VERSION, "code")
)
ROWS = Family("cnflow_serving_rows_total", "Rows that predict has got", _VERSION)
ATTEMPTS = Family(
    "cnflow_serving_attempts_total", "Further attempts of calls whose worker, node or interchange was lost", _VERSION
)
SHADOW_CALLS = Family(
    "cnflow_serving_shadow_calls_total",
    "Copies of calls that a shadow has answered, by ok or the code of their error",
    (*_VERSION, "code"),
)
PIECES = Family("cnflow_serving_pieces_total", "Pieces of streams; of a language model, tokens", _VERSION)

COUNTERS = (REQUESTS, CALLS, ROWS, ATTEMPTS, SHADOW_CALLS, PIECES)

REQUEST_SECONDS = Family(
    "cnflow_serving_request_seconds", "Seconds of requests in the front, those with status 4xx aside", _VERSION, SECONDS
)
QUEUE_SECONDS = Family(
    "cnflow_serving_queue_seconds", "Seconds that answered calls have waited until predict began", _VERSION, SECONDS
)
COMPUTE_SECONDS = Family(
    "cnflow_serving_compute_seconds", "Seconds of predict, once for each call of a batch", _VERSION, SECONDS
)
BATCH_ROWS = Family("cnflow_serving_batch_rows", "Rows of each call of predict", _VERSION, ROWS_OF_A_BATCH)
BATCH_SECONDS = Family("cnflow_serving_batch_seconds", "Seconds of each call of predict", _VERSION, SECONDS)
SHADOW_SECONDS = Family("cnflow_serving_shadow_seconds", "Seconds of the copies of calls", _VERSION, SECONDS)
FIRST_PIECE_SECONDS = Family(
    "cnflow_serving_first_piece_seconds", "Seconds until the first piece of a stream", _VERSION, SECONDS
)
PIECE_SECONDS = Family("cnflow_serving_piece_seconds", "Seconds between two pieces of a stream", _VERSION, SECONDS)

HISTOGRAMS = (
    REQUEST_SECONDS, QUEUE_SECONDS, COMPUTE_SECONDS, BATCH_ROWS, BATCH_SECONDS, SHADOW_SECONDS, FIRST_PIECE_SECONDS,
    PIECE_SECONDS,
)  # fmt: skip

READY = Family("cnflow_serving_ready", "1 once every model can answer; 0 before, and while the server drains", ())
LOAD = Family(
    "cnflow_serving_load",
    "Calls that are in the server, of those that run at the most: above 1 some wait. For autoscaling",
    ("model",),
)
CALLS_NOW = Family(
    "cnflow_serving_calls", "Calls at this moment: running, or waiting in the server", ("model", "state")
)
VERSION_STATE = Family(
    "cnflow_serving_version_state", "1 for the state of each version", (*_VERSION, "state", "digest")
)
VERSION_WEIGHT = Family("cnflow_serving_version_weight", "Share of calls that name no version, 0 to 1", _VERSION)
VERSION_SHADOW = Family("cnflow_serving_version_shadow", "1 for a version that gets copies of calls", _VERSION)
VERSION_WORKERS = Family("cnflow_serving_version_workers", "Workers that have loaded the version", _VERSION)
VERSION_CALLS = Family("cnflow_serving_version_calls", "Calls that the version answers at this moment", _VERSION)

GAUGES = (
    READY, LOAD, CALLS_NOW, VERSION_STATE, VERSION_WEIGHT, VERSION_SHADOW, VERSION_WORKERS, VERSION_CALLS,
)  # fmt: skip

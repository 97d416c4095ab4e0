"""Counts of served models. No I/O, no clock.

::

    front ── on_request ──────────────────────────┐
    server ── on_call, on_batch, on_piece, ... ───┤
                                                  v
    front process 1 ── ServingMetrics.pack ──> ServingMetrics.add ──> render ──> GET /metrics
    front process 2 ── ServingMetrics.pack ──────────┘      ^
    state of the service ── gauges ─────────────────────────┘

Each process counts for itself since its start; the counts of several are added up. All methods are called in one
thread.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import msgspec

from cnflow.prometheus_text import family, histogram, sample
from cnflow.serving import metric_families as families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cnflow.serving.metric_families import Family, Gauge

    Labels = tuple[str, ...]

UNKNOWN = ""
"""Label of models and versions that are not served: what callers ask for must not make the number of series grow."""

MOST_SERIES = 1_000
"""Pairs of model and version that are told apart; versions that are rolled forward for months come to an end."""

_CLIENT_ERRORS = range(400, 500)


class ServingMetrics:
    """Counts of one process since its start; see the module.

    Args:
        is_served: whether there is a model of this name with this version; with an empty version, a model of this name.
            The default knows those that have answered.
        gauges: returns what is not counted but looked up when the metrics are read; see `service_gauges`.
    """

    def __init__(
        self,
        is_served: Callable[[str, str], bool] = lambda _, __: False,
        gauges: Callable[[], Iterable[Gauge]] = lambda: (),
    ) -> None:
        self._is_served = is_served
        self._gauges = gauges
        self._known: set[tuple[str, str]] = set()
        self._models: set[str] = set()
        self._counters: dict[str, dict[Labels, float]] = {each.name: {} for each in families.COUNTERS}
        self._histograms: dict[str, dict[Labels, list[float]]] = {each.name: {} for each in families.HISTOGRAMS}
        """Counts of the buckets, then the sum of the values."""

        self._requests = self._counters[families.REQUESTS.name]
        self._request_seconds = self._histograms[families.REQUEST_SECONDS.name]

    # From fronts

    def on_request(self, model: str, version: str, status: int, seconds: float) -> None:
        """A front has answered a request with *status*; requests that were refused have no part in the latency."""
        key = (model, version)
        if key not in self._known:
            key = self._named(model, version, has_answered=status < _CLIENT_ERRORS.start)
        labels = (*key, _STATUS.get(status) or str(status))
        self._requests[labels] = self._requests.get(labels, 0) + 1
        if status not in _CLIENT_ERRORS:
            _observe(self._request_seconds, key, families.SECONDS, seconds)

    # From the server

    def on_call(self, model: str, version: str, code: str, queue_seconds: float, compute_seconds: float) -> None:
        """A call has ended: with an answer, for which *code* is ``ok``, or with that code of an error.

        Args:
            model: name of the model.
            version: that answered or failed; empty where none was chosen.
            code: as `ServingError.code`.
            queue_seconds: from its arrival until ``predict`` began; counted for answers alone.
            compute_seconds: of ``predict``.
        """
        self._count(families.CALLS, (model, version, code))
        if code == OK:
            self._add_value(families.QUEUE_SECONDS, (model, version), queue_seconds)
            self._add_value(families.COMPUTE_SECONDS, (model, version), compute_seconds)

    def on_shadow(self, model: str, version: str, code: str, seconds: float) -> None:
        """A copy of a call has ended at a shadow, *seconds* after it was made."""
        self._count(families.SHADOW_CALLS, (model, version, code))
        self._add_value(families.SHADOW_SECONDS, (model, version), seconds)

    def on_batch(self, model: str, version: str, rows: int, seconds: float) -> None:
        """A worker has answered *rows* rows by one call of ``predict``, which took *seconds*."""
        self._count(families.ROWS, (model, version), rows)
        self._add_value(families.BATCH_ROWS, (model, version), rows)
        self._add_value(families.BATCH_SECONDS, (model, version), seconds)

    def on_attempt(self, model: str, version: str) -> None:
        """A call is tried again, since its worker, manager or interchange was lost."""
        self._count(families.ATTEMPTS, (model, version))

    def on_piece(self, model: str, version: str, seconds: float, *, is_first: bool) -> None:
        """A piece of a stream has come, *seconds* after the one before; the first, after the arrival of the call."""
        self._count(families.PIECES, (model, version))
        kind = families.FIRST_PIECE_SECONDS if is_first else families.PIECE_SECONDS
        self._add_value(kind, (model, version), seconds)

    # Sums

    def counts(self, kind: Family) -> Mapping[Labels, float]:
        """Return the counts of a counter, by its labels."""
        return self._counters[kind.name]

    def bucket_counts(self, kind: Family) -> Mapping[Labels, Sequence[float]]:
        """Return, of a histogram, the counts of its buckets and then the sum of the values, by its labels."""
        return self._histograms[kind.name]

    def pack(self) -> bytes:
        """Return the counts, for `add` in another process."""
        return msgspec.msgpack.encode(
            [
                [(name, list(found.items())) for name, found in part.items() if found]
                for part in (self._counters, self._histograms)
            ]
        )

    def add(self, packed: bytes) -> None:
        """Add the counts that another process has packed.

        Raises:
            ValueError: they are none; nothing was added.
        """
        try:
            counters, histograms = msgspec.msgpack.decode(packed, type=_PACKED)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ValueError(f"these are no counts of a front: {error}") from error
        for name, values in counters:
            for labels, value in values:
                if name in self._counters:
                    self._counters[name][labels] = self._counters[name].get(labels, 0) + value
        for name, series in histograms:
            found = self._histograms.get(name, {})
            for labels, numbers in series:
                mine = found.get(labels)
                if mine is None:
                    found[labels] = list(numbers)
                elif len(mine) == len(numbers):
                    found[labels] = [one + other for one, other in zip(mine, numbers, strict=True)]

    def sum_with(self, packed: Iterable[bytes]) -> ServingMetrics:
        """Return new metrics with these counts and those of *packed*, and the gauges of these."""
        whole = ServingMetrics(self._is_served, self._gauges)
        whole.add(self.pack())
        for each in packed:
            whole.add(each)
        return whole

    # Text

    def render(self) -> str:
        """Return the text that Prometheus reads."""
        lines: list[str] = []
        for each in families.COUNTERS:
            values = self._counters[each.name]
            samples = [sample(each.name, each.with_labels(labels), value) for labels, value in sorted(values.items())]
            lines += family(each.name, "counter", each.words, samples)
        for each in families.HISTOGRAMS:
            series = sorted(self._histograms[each.name].items())
            lines += family(each.name, "histogram", each.words, _histogram_lines(each, series))
        looked_up: dict[str, list[str]] = {each.name: [] for each in families.GAUGES}
        for gauge in self._gauges():
            labels = gauge.family.with_labels(gauge.labels)
            looked_up[gauge.family.name].append(sample(gauge.family.name, labels, gauge.value))
        for each in families.GAUGES:
            lines += family(each.name, "gauge", each.words, looked_up[each.name])
        return "\n".join(lines) + "\n"

    # Parts

    def _count(self, kind: Family, labels: Labels, number: float = 1) -> None:
        counts = self._counters[kind.name]
        labels = (*self._from_server(labels[0], labels[1]), *labels[2:])
        counts[labels] = counts.get(labels, 0) + number

    def _add_value(self, kind: Family, labels: Labels, value: float) -> None:
        key = self._from_server(labels[0], labels[1])
        _observe(self._histograms[kind.name], key, kind.bounds, value)

    def _from_server(self, model: str, version: str) -> Labels:
        key = (model, version)
        return key if key in self._known else self._named(model, version, has_answered=bool(version))

    def _named(self, model: str, version: str, *, has_answered: bool) -> tuple[str, str]:
        """Labels of a model and version that were not seen so far."""
        if not has_answered and not self._is_served(model, version):
            version = UNKNOWN  # as the caller wrote it
            if not self._is_served(model, UNKNOWN) and model not in self._models:
                return UNKNOWN, UNKNOWN
        self._models.add(model)
        if len(self._known) >= MOST_SERIES:
            return model, UNKNOWN
        self._known.add((model, version))
        return model, version


OK = "ok"
"""Code of a call that was answered."""

_STATUS = {status: str(status) for status in range(100, 600)}
_PACKED = tuple[
    list[tuple[str, list[tuple[tuple[str, ...], float]]]],
    list[tuple[str, list[tuple[tuple[str, ...], list[float]]]]],
]


def _observe(series: dict[Labels, list[float]], key: Labels, bounds: tuple[float, ...], value: float) -> None:
    numbers = series.get(key)
    if numbers is None:
        numbers = series[key] = [0.0] * (len(bounds) + 2)
    numbers[bisect_left(bounds, value)] += 1
    numbers[-1] += value


def _histogram_lines(kind: Family, series: Iterable[tuple[Labels, list[float]]]) -> Iterable[str]:
    for labels, numbers in series:
        counts = [int(number) for number in numbers[:-1]]
        yield from histogram(kind.name, kind.with_labels(labels), kind.bounds, counts, numbers[-1])

"""Counts of each version of a model, taken from the metrics of a server; the record has their differences. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.model_events import ABOVE_ALL
from cnflow.serving import metric_families as families
from cnflow.serving.metrics import OK, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.model.model_events import Buckets
    from cnflow.serving.metric_families import Family
    from cnflow.serving.metrics import ServingMetrics

    Key = tuple[str, str]

_CLIENT, _SERVER = "4", "5"
_COUNTED: Mapping[str, Family] = {
    "rows": families.ROWS,
    "pieces": families.PIECES,
    "attempts": families.ATTEMPTS,
}
_HISTOGRAMS: Mapping[str, Family] = {
    "latency": families.REQUEST_SECONDS,
    "queue": families.QUEUE_SECONDS,
    "compute": families.COMPUTE_SECONDS,
    "first_piece": families.FIRST_PIECE_SECONDS,
    "batch": families.BATCH_ROWS,
}
"""By the name in `cnflow.model.model_events.ModelFigures.histograms`."""


class VersionTotals:
    """Counts of one version since the start of its server.

    Attributes:
        counts: by the names of the fields of `ModelFigures`.
        histograms: upper ends and counts, by the names in `ModelFigures.histograms`.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.histograms: dict[str, dict[float, int]] = {}

    def add(self, name: str, number: float) -> None:
        """Count *number* more."""
        self.counts[name] = self.counts.get(name, 0) + int(number)

    def since(self, before: VersionTotals) -> tuple[dict[str, int], dict[str, Buckets]]:
        """Return the counts and the buckets that have grown since *before*, by how much they have."""
        counts = {name: count - before.counts.get(name, 0) for name, count in self.counts.items()}
        grown: dict[str, Buckets] = {}
        for name, buckets in self.histograms.items():
            old = before.histograms.get(name, {})
            found = [(upper, count - old.get(upper, 0)) for upper, count in buckets.items()]
            if found := [(upper, count) for upper, count in found if count > 0]:
                grown[name] = found
        return {name: count for name, count in counts.items() if count > 0}, grown


def totals_of(metrics: ServingMetrics) -> dict[Key, VersionTotals]:
    """Return the totals by model and version; those of models that are not served are left out."""
    found: dict[Key, VersionTotals] = {}
    _add_counts(metrics, found)
    for name, kind in _HISTOGRAMS.items():
        uppers = (*kind.bounds, ABOVE_ALL)
        for labels, numbers in metrics.bucket_counts(kind).items():
            totals = _of(found, labels)
            totals.histograms[name] = {upper: int(count) for upper, count in zip(uppers, numbers, strict=False)}
            if name == "batch":
                totals.add("batches", sum(numbers[:-1]))
    return {key: totals for key, totals in found.items() if key[0] != UNKNOWN}


def _add_counts(metrics: ServingMetrics, found: dict[Key, VersionTotals]) -> None:
    for labels, number in metrics.counts(families.REQUESTS).items():
        totals = _of(found, labels)
        totals.add("requests", number)
        if labels[2].startswith(_CLIENT):
            totals.add("refused", number)
        elif labels[2].startswith(_SERVER):
            totals.add("errors", number)
    for name, kind in _COUNTED.items():
        for labels, number in metrics.counts(kind).items():
            _of(found, labels).add(name, number)
    for labels, number in metrics.counts(families.SHADOW_CALLS).items():
        _of(found, labels).add("copies", number)
        if labels[2] != OK:
            _of(found, labels).add("copy_errors", number)


def _of(found: dict[Key, VersionTotals], labels: Sequence[str]) -> VersionTotals:
    return found.setdefault((labels[0], labels[1]), VersionTotals())

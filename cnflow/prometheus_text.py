"""Writes metrics in the text format of Prometheus. No I/O.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of the text."""


def family(name: str, kind: str, words: str, samples: Iterable[str]) -> list[str]:
    """Lines of one metric; *kind* is ``counter``, ``gauge`` or ``histogram``."""
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *samples]


def sample(name: str, labels: Mapping[str, str], value: float) -> str:
    """Line of one value."""
    if not labels:
        return f"{name} {value:.15g}"
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{pairs}}} {value:.15g}"


def histogram(
    name: str, labels: Mapping[str, str], bounds: Sequence[float], counts: Sequence[int], total: float
) -> Iterator[str]:
    """Lines of one histogram.

    Args:
        name: of the metric.
        labels: besides ``le``.
        bounds: upper ends of the buckets, which belong to them, in order.
        counts: values in each bucket, not summed up; one more than *bounds*.
        total: sum of the values.
    """
    so_far = 0
    for bound, count in zip((*bounds, None), counts, strict=True):
        so_far += count
        end = "+Inf" if bound is None else f"{bound:.15g}"
        yield sample(f"{name}_bucket", {**labels, "le": end}, so_far)
    yield sample(f"{name}_sum", labels, total)
    yield sample(f"{name}_count", labels, so_far)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""What `/metrics` looks up in the service when it is read. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.serving import metric_families as families
from cnflow.serving.metric_families import Gauge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.serving.service import ModelStatus, VersionStatus


class CallsNow(NamedTuple):
    """Calls of one model at this moment."""

    running: int
    waiting: int
    most: int
    """Calls that run at the most."""


def service_gauges(
    models: Mapping[str, ModelStatus], calls: Mapping[str, CallsNow], *, is_ready: bool
) -> Iterator[Gauge]:
    """Yield the gauges of a service.

    Args:
        models: as `ModelService.models` returns them.
        calls: of each model, by its name; a model that is missing has none.
        is_ready: as `ModelService.is_ready`.
    """
    yield Gauge(families.READY, (), float(is_ready))
    for name, model in models.items():
        now = calls.get(name)
        if now is not None:
            yield Gauge(families.LOAD, (name,), (now.running + now.waiting) / max(1, now.most))
            yield Gauge(families.CALLS_NOW, (name, "running"), now.running)
            yield Gauge(families.CALLS_NOW, (name, "waiting"), now.waiting)
        whole = sum(version.weight for version in model.versions)
        for version in model.versions:
            yield from _of_version(name, version, whole)


def _of_version(model: str, version: VersionStatus, whole: float) -> Iterator[Gauge]:
    labels = (model, version.version)
    yield Gauge(families.VERSION_STATE, (*labels, version.state, version.digest), 1.0)
    yield Gauge(families.VERSION_WEIGHT, labels, version.weight / whole if whole else 0.0)
    yield Gauge(families.VERSION_SHADOW, labels, float(version.is_shadow))
    yield Gauge(families.VERSION_WORKERS, labels, version.workers)
    yield Gauge(families.VERSION_CALLS, labels, version.in_flight)


def is_served(models: Mapping[str, ModelStatus], model: str, version: str) -> bool:
    """Return whether *models* has this version of *model*; an empty version asks for the model."""
    found = models.get(model)
    return found is not None and (not version or any(each.version == version for each in found.versions))

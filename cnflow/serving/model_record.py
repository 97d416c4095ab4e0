"""Makes the events of served models for the run's sinks. No I/O, no clock.

::

    every second ──states of versions──compared with the last look──> ModelEvent
    every PERIOD ──counts of the metrics──less those of the last──> ModelFigures, of versions that have news
    end ──> ModelFigures, and a ModelEvent "gone" for each version

Requests pass nothing here: what they came to is taken from the counts that `/metrics` has, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.model_events import ModelEvent, ModelFigures
from cnflow.serving.version_totals import VersionTotals, totals_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.interfaces.sink import Emit
    from cnflow.serving.gauges import CallsNow
    from cnflow.serving.metrics import ServingMetrics
    from cnflow.serving.service import ModelStatus, VersionStatus

    Key = tuple[str, str]

PERIOD = 5.0
"""Seconds between two figures. A version that is served for a year has six million rows of progress."""

_NOTHING = VersionTotals()


class ModelRecord:
    """Events of the models of one server; see the module. Its methods are called in one thread.

    Args:
        emit: takes each event.
        wall_clock: seconds since 1970.
    """

    def __init__(self, emit: Emit, wall_clock: Callable[[], float]) -> None:
        self._emit = emit
        self._wall_clock = wall_clock
        self._versions: dict[Key, VersionStatus] = {}
        """As they were at the last look, by model and version."""

        self._shares: dict[str, dict[str, float]] = {}
        self._totals: dict[Key, VersionTotals] = {}
        self._gauges: dict[Key, tuple[object, ...]] = {}
        self._counted = wall_clock()

    def on_look(
        self, models: Mapping[str, ModelStatus], calls: Mapping[str, CallsNow], metrics: Callable[[], ServingMetrics]
    ) -> None:
        """Report what has changed.

        Args:
            models: as they are now.
            calls: of each model.
            metrics: returns the counts of the server and its fronts; called once in a `PERIOD`.
        """
        now = self._wall_clock()
        self._compare(models, now)
        if not 0 <= now - self._counted < PERIOD:  # also where the clock was set back
            self._report_figures(calls, metrics(), now)

    def close(self, calls: Mapping[str, CallsNow], metrics: ServingMetrics) -> None:
        """Report the last counts, and that no version is served any more."""
        now = self._wall_clock()
        self._report_figures(calls, metrics, now)
        for (model, _), version in self._versions.items():
            self._report(model, version, "gone", now, "the server has ended")
        self._versions = {}

    # States

    def _compare(self, models: Mapping[str, ModelStatus], now: float) -> None:
        found = {(name, version.version): version for name, model in models.items() for version in model.versions}
        for key, version in found.items():
            before = self._versions.get(key)
            if before is None or (before.state, before.reason, before.digest) != (
                version.state,
                version.reason,
                version.digest,
            ):
                self._report(key[0], version, version.state, now, version.reason)
            if version.is_shadow != (before is not None and before.is_shadow):
                self._report(key[0], version, "shadow" if version.is_shadow else "no_shadow", now)
        for key, before in self._versions.items():
            if key not in found:
                name = next(
                    (name for (model, name), each in found.items() if model == key[0] and key[1] in each.aliases), ""
                )
                self._report(key[0], before, "gone", now, f"it is called {name} now" if name else "")
        self._versions = found
        self._compare_shares(models, now)

    def _compare_shares(self, models: Mapping[str, ModelStatus], now: float) -> None:
        for name, model in models.items():
            shares = shares_of(model)
            if shares != self._shares.get(name):
                self._shares[name] = shares
                self._emit(ModelEvent(time=now, model=name, version="", state="weights", weights=shares))

    def _report(self, model: str, version: VersionStatus, state: str, now: float, reason: str = "") -> None:
        event = ModelEvent(
            time=now,
            model=model,
            version=version.version,
            state=state,
            reason=reason,
            image=version.image,
            digest=version.digest,
        )
        self._emit(event)

    # Counts

    def _report_figures(self, calls: Mapping[str, CallsNow], metrics: ServingMetrics, now: float) -> None:
        interval, self._counted = max(0.0, now - self._counted), now
        totals = totals_of(metrics)
        for key in {**dict.fromkeys(self._versions), **dict.fromkeys(totals)}:
            version = self._versions.get(key)
            # Of those that are gone, the metrics keep the counts for ever: no row for each change of the queue.
            waiting = -1 if version is None or key[0] not in calls else calls[key[0]].waiting
            counts, histograms = totals.get(key, _NOTHING).since(self._totals.get(key, _NOTHING))
            share = self._shares.get(key[0], {}).get(key[1], 0.0)
            gauges = (share, waiting, version and version[:7], version and version[8:10])
            if not counts and gauges == self._gauges.get(key):
                continue
            self._gauges[key] = gauges
            figures = ModelFigures(
                time=now,
                model=key[0],
                version=key[1],
                interval=interval,
                waiting=waiting,
                histograms=histograms,
                **counts,  # type: ignore[arg-type]  # names of its fields that are whole numbers
            )
            if version is not None:
                _add_state(figures, version, share)
            self._emit(figures)
        self._totals = totals


def _add_state(figures: ModelFigures, version: VersionStatus, share: float) -> None:
    figures.state, figures.reason = version.state, version.reason
    figures.image, figures.digest = version.image, version.digest
    figures.weight, figures.is_shadow = share, version.is_shadow
    figures.workers, figures.in_flight = version.workers, version.in_flight


def shares_of(model: ModelStatus) -> dict[str, float]:
    """Return the shares of the calls, 0 to 1, by the versions that get any."""
    whole = sum(version.weight for version in model.versions)
    return {version.version: version.weight / whole for version in model.versions if version.weight > 0}

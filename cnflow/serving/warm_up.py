"""Has versions loaded, and finds out when they can answer, or no longer.

::

    load ──prepare──> every worker loads the model before its first task
      └──warm-up call: the example rows, or none──> answered, and enough workers have it ──> router.on_loaded
                               │                                no worker has it any more ──> router.on_no_workers
                               ├──lost──> again, soon
                               └──failed──> router.on_failed; again later, if calls should go to it

The warm-up call is a task like any other: it starts a block where none is, so that a version is warm before it gets
calls, also on an executor that was scaled to zero.
"""

from __future__ import annotations

import functools
import json
import logging
from typing import TYPE_CHECKING

import msgspec

from cnflow.errors import CnflowError, InfrastructureError, WorkerLost
from cnflow.model.batching import BatchPart
from cnflow.model.task import NO_OPTIONS
from cnflow.serving.versions import VersionState
from cnflow.tasks.models import RowForm
from cnflow.text import describe_error, describe_safely

if TYPE_CHECKING:
    from typing import Any

    from cnflow.clock import Clock
    from cnflow.model.task import Outcome
    from cnflow.serving.call_runner import Perform
    from cnflow.serving.places import Place
    from cnflow.serving.served_model import ServedModel
    from cnflow.serving.versions import Version

logger = logging.getLogger(__name__)

_SOON = 1.0
_LATER = 30.0
_MOST_LOST = 5
_NEVER = float("inf")


class _WarmUp:
    """A version that is to be loaded.

    Attributes:
        task: of the warm-up call; None if none runs.
        again_at: time of the next one.
        is_answered: one was answered.
        had_workers: workers had it at the last look.
        lost: warm-up calls that died with their worker, since the last one that did not.
        dropped: task whose outcome is not waited for: its worker has not loaded the model in time.
    """

    __slots__ = ("again_at", "dropped", "had_workers", "is_answered", "lost", "model", "task", "version")

    def __init__(self, model: ServedModel, version: Version) -> None:
        self.model = model
        self.version = version
        self.task: Any = None
        self.again_at = _NEVER
        self.is_answered = False
        self.had_workers = False
        self.lost = 0
        self.dropped: Any = None


class WarmUps:
    """The versions of all models; the module has a picture. Its methods run in the event loop's thread.

    Args:
        clock: source of time.
        perform: does what routers want done.
    """

    def __init__(self, clock: Clock, perform: Perform) -> None:
        self._clock = clock
        self._perform = perform
        self._versions: dict[Version, _WarmUp] = {}

    def load(self, model: ServedModel, version: Version) -> None:
        """Have *version* loaded."""
        place: Place = version.source
        self._versions[version] = each = _WarmUp(model, version)
        try:
            place.direct.prepare([place.app], functools.partial(self._on_prepared, each))
        except CnflowError as error:  # its model cannot be pickled
            self._fail(each, describe_error(error))
            return
        if place.config.warm == 0 and not place.config.example:
            each.is_answered = True
            self._perform(model, model.router.on_no_workers(version, self._clock.now(), is_scaled=True))
        else:
            self._call(each)

    def unload(self, version: Version) -> None:
        """Nothing needs *version* any more."""
        place: Place = version.source
        each = self._versions.pop(version, None)
        if each is not None and each.task is not None:
            place.direct.cancel([each.task])
        place.direct.forget([place.app])

    def workers(self, version: Version) -> int:
        """Workers that have loaded *version*."""
        place: Place = version.source
        return place.direct.ready_workers(place.app)

    def on_tick(self) -> None:
        """Look which versions have workers, and try again what has failed."""
        now = self._clock.now()
        for each in list(self._versions.values()):
            if each.again_at <= now and each.task is None:
                self._call(each)
            self._look(each)

    def _look(self, each: _WarmUp) -> None:
        version, now, router = each.version, self._clock.now(), each.model.router
        workers, place = self.workers(version), version.source
        if version.state is VersionState.READY:
            if workers:
                each.had_workers = True
            elif each.had_workers:
                each.had_workers = False
                status = place.executor.status()
                self._perform(each.model, router.on_no_workers(version, now, is_scaled=status.blocks == 0))
            return
        if each.is_answered and workers >= max(1, place.config.warm):
            self._perform(each.model, router.on_loaded(version, now))
        elif version.state is not VersionState.LOADING:
            pass
        elif version.ready_since and not version.in_flight and place.executor.status().blocks == 0:
            self._perform(each.model, router.on_no_workers(version, now, is_scaled=True))  # else no call would wake it
        elif place.config.warm > 1:
            version.reason = f"{workers} of {place.config.warm} workers have loaded it"

    def _call(self, each: _WarmUp) -> None:
        place: Place = each.version.source
        each.again_at = _NEVER
        rows = place.config.example
        try:
            each.task = place.direct.submit(
                place.app,
                (int(RowForm.JSON), msgspec.json.encode(rows)),
                None,
                NO_OPTIONS,  # no walltime: blocks may end before a load may take that long, and none would fit
                BatchPart(len(rows), "warm-up"),
                done=functools.partial(self._on_done, each),
            )
        except CnflowError as error:
            self._fail(each, describe_error(error))

    def _on_done(self, each: _WarmUp, outcome: Outcome) -> None:
        if self._versions.get(each.version) is not each or outcome.id == each.dropped:
            return
        each.task = None
        place: Place = each.version.source
        if outcome.error is None:
            each.is_answered, each.lost = True, 0
            if place.config.warm <= 1:  # one worker has it: the one that has answered
                self._perform(each.model, each.model.router.on_loaded(each.version, self._clock.now()))
            self._look(each)
            return
        each.lost += isinstance(outcome.error, WorkerLost)
        reason = outcome.words or describe_safely(outcome.error)
        if isinstance(outcome.error, InfrastructureError) and each.lost < _MOST_LOST:
            logger.info("version %s is warmed up again: %s", each.version.name, reason)
            each.again_at = self._clock.now() + _SOON
            return
        each.lost, each.is_answered = 0, False
        self._fail(each, place.error or reason)

    def _on_prepared(self, each: _WarmUp, news: Any) -> None:  # noqa: ANN401 - of an executor
        place: Place = each.version.source
        if not news.error:
            place.error = ""
            _describe(place, news.description)
            return
        place.error = news.error
        timeout = _load_timeout(place)
        is_late = 0.0 < timeout <= news.seconds
        if is_late and self._versions.get(each.version) is each and each.version.state is VersionState.LOADING:
            each.task, each.dropped = None, each.task  # it would hang in the next worker
            if each.dropped is not None:
                place.direct.cancel([each.dropped])
            self._fail(each, news.error)

    def _fail(self, each: _WarmUp, reason: str) -> None:
        version = each.version
        each.again_at = self._clock.now() + _LATER
        logger.warning("version %s of model %s cannot be loaded: %s", version.name, each.model.config.name, reason)
        self._perform(each.model, each.model.router.on_failed(version, reason, self._clock.now()))


def _load_timeout(place: Place) -> float:
    return 0.0 if place.app.batching is None else place.app.batching.load_timeout


def _describe(place: Place, description: bytes) -> None:
    if description:
        try:
            place.description = json.loads(description)
        except ValueError:
            logger.warning("the description of %s cannot be read", place.app.name)

"""`ModelService` of models that run in executors: the one place that decides which worker's answer a request gets.

::

    front ── predict, stream ──> CallRunner ──> Router ──> direct calls of an executor ──> worker
                                     ^  admission, attempts, deadlines                        │
                                     └───────── deliver: once for each message ───────────────┘
    `cnflow serve` ── roll, roll_back, set_weights, set_shadow ──> Router ──actions──> WarmUps
    every tenth of a second ── deadlines, workers, digests of images

All of it runs in the thread of one event loop; executors bring outcomes into it by `deliver`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError
from cnflow.serving.call_observer import CallObserver
from cnflow.serving.call_runner import CallRunner
from cnflow.serving.failures import ending
from cnflow.serving.gauges import CallsNow
from cnflow.serving.metrics import ServingMetrics
from cnflow.serving.places import Place, choose_executor, function_of, provisional_name, status_of, with_options_of_app
from cnflow.serving.plans import roll_failed
from cnflow.serving.served_model import Call, ServedModel
from cnflow.serving.service import ModelStatus, ServingError, VersionStatus
from cnflow.serving.versions import Load, Moved, Refused, Unload, Version
from cnflow.serving.warm_up import WarmUps
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from cnflow.clock import Clock
    from cnflow.config.serving import ServeConfig, VersionConfig
    from cnflow.serving.places import DirectCalls, LiveExecutor
    from cnflow.serving.plans import Plan
    from cnflow.serving.service import ModelCall, Prediction
    from cnflow.serving.versions import Action

logger = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at deadlines."""

_TICKS_OF_LOOK = 5


class LiveService:
    """Satisfies `ModelService`, and `ServiceAdmin`; the module has a picture.

    Args:
        config: models and their versions.
        executors: live executors with direct calls, by label.
        clock: source of time.
        executor_for: makes an executor for a version whose image none has; None refuses such a version.
        observer: counts calls, and traces them; None counts them for nobody.

    Raises:
        ConfigurationError: a version has no executor, or its app is no model.
    """

    def __init__(
        self,
        config: ServeConfig,
        executors: Mapping[str, LiveExecutor],
        clock: Clock,
        executor_for: Callable[[VersionConfig], LiveExecutor] | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        self._config = config
        self._executors = dict(executors)
        self._executor_for = executor_for
        self._clock = clock
        self._observer = observer or CallObserver(ServingMetrics(), None, clock.now)
        self._runner = CallRunner(clock, self._perform, self._observer)
        self._warm_ups = WarmUps(clock, self._perform)
        self._models = {model.name: ServedModel(model) for model in config.models}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._was_ready = False
        self._is_draining = self._is_closed = False
        self._bound: list[tuple[DirectCalls, Callable[[list[Any]], None]]] = []
        """Executors whose outcomes come here, and what takes those of others before and after."""

        self._first: dict[str, list[Version]] = {name: [] for name in self._models}
        """Versions that are there from the start, until then."""

        for name, model in self._models.items():
            for each in model.config.versions:
                self._first[name].append(self._new_version(model, each))

    # Life

    async def start(self) -> None:
        """Have all models loaded, and return at once; calls are taken from now on."""
        self._loop = asyncio.get_running_loop()
        for name, versions in self._first.items():
            model = self._models[name]
            for version in versions:
                self._bind(version.source)
                self._perform(model, model.router.add(version, self._clock.now()))
        self._first = {}
        self._tick()

    async def drain(self, seconds: float | None = None) -> None:
        """Be not ready, and return once no call is left, or after *seconds*. Calls that still come are answered."""
        self._is_draining = True
        if self._runner.in_flight == 0:
            return
        idle = asyncio.Event()
        self._runner.on_idle = idle.set
        try:
            await asyncio.wait_for(idle.wait(), seconds)
        except asyncio.TimeoutError:
            logger.warning("%d calls were not answered within %s s", self._runner.in_flight, seconds)

    async def close(self) -> None:
        """Answer what is left and what still comes with 503, and forget the models. The executors go on."""
        if self._is_closed:
            return
        self._is_draining = self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._runner.end_all(ending())
        for model in self._models.values():
            for version in list(model.router.versions.values()):
                self._warm_ups.unload(version)
        for direct, before in self._bound:
            if direct.deliver == self._deliver:
                direct.deliver = before
                direct.collect(None)
        self._bound = []

    # Answers

    @property
    def is_ready(self) -> bool:
        """True once every model can answer; False again while it drains."""
        if not self._was_ready:
            self._was_ready = not self._first and all(model.router.is_ready for model in self._models.values())
        return self._was_ready and not self._is_draining

    async def predict(self, call: ModelCall) -> Prediction:
        """Answer *call*; see `ModelService`."""
        running = self._start(call, is_stream=False)
        assert running.answer is not None  # of each call that is started
        try:
            prediction: Prediction = await running.answer
        except asyncio.CancelledError:
            self._runner.give_up(running)
            raise
        return prediction

    async def stream(self, call: ModelCall) -> AsyncIterator[Any]:
        """Yield the pieces of *call*; see `ModelService`."""
        running = self._start(call, is_stream=True)
        pieces, answer = running.pieces, running.answer
        assert pieces is not None  # of each stream
        assert answer is not None  # of each call that is started
        try:
            while True:
                while pieces:
                    yield pieces.popleft()
                if answer.done():
                    answer.result()
                    return
                running.wake = self._loop_now().create_future()
                await running.wake
        finally:
            self._runner.give_up(running)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, where the caller has gone before

    def models(self) -> Mapping[str, ModelStatus]:
        """Models by name."""
        return {
            name: ModelStatus(name, [self._status_of(version) for version in model.router.versions.values()])
            for name, model in self._models.items()
        }

    def calls_now(self) -> Mapping[str, CallsNow]:
        """Calls at this moment, by the names of their models."""
        return {
            name: CallsNow(model.admission.running, model.admission.waiting, model.config.max_concurrency)
            for name, model in self._models.items()
        }

    # Versions

    async def roll(self, model: str, version: str | VersionConfig) -> None:
        """Warm *version* up, move all calls to it, and forget those before it some time after their last calls.

        Args:
            model: name of the model.
            version: settings of a new one, or the name of one that is there.

        Raises:
            ServingError: the model or the version is unknown, or cannot be.
        """
        served = self._model(model)
        if isinstance(version, str):
            there = served.router.find(version)
            self._perform(served, served.router.roll(there, self._clock.now()))
            return
        try:
            new = self._new_version(served, version)
        except ConfigurationError as error:
            raise ServingError(f"The version cannot be served: {error}", 400, "bad_version") from error
        new.weight, new.shadow = 0.0, version.shadow
        self._bind(new.source)
        self._perform(served, served.router.roll(new, self._clock.now()))

    async def add_version(self, model: str, version: VersionConfig) -> None:
        """Load *version* without a share of the calls, for `set_weights` and `set_shadow`.

        Raises:
            ServingError: as `roll`.
        """
        served = self._model(model)
        try:
            new = self._new_version(served, version)
        except ConfigurationError as error:
            raise ServingError(f"The version cannot be served: {error}", 400, "bad_version") from error
        new.weight = 0.0
        self._bind(new.source)
        self._perform(served, served.router.add(new, self._clock.now()))

    async def roll_back(self, model: str) -> None:
        """End a roll that is under way; without one, return to the weights before the last change.

        Raises:
            ServingError: the model is unknown, or has none.
        """
        served = self._model(model)
        self._perform(served, served.router.roll_back(self._clock.now()))

    async def set_weights(self, model: str, weights: Mapping[str, float]) -> None:
        """Share the calls of *model* by *weights*, once their versions can answer; others get none.

        Raises:
            ServingError: the model or a version is unknown, or a weight is wrong.
        """
        served = self._model(model)
        self._perform(served, served.router.set_weights(weights, self._clock.now()))

    async def set_shadow(self, model: str, shares: Mapping[str, float]) -> None:
        """Send copies of these shares of the calls of *model* to versions, and no longer to others.

        Raises:
            ServingError: the model or a version is unknown, or a share is wrong.
        """
        served = self._model(model)
        self._perform(served, served.router.set_shadow(shares, self._clock.now()))

    def change_of(self, model: str) -> Plan | None:
        """The last change of the weights of *model*, which is known; None once it was taken back."""
        return self._model(model).router.last

    async def remove_version(self, model: str, version: str) -> None:
        """Forget a version that gets no calls, once those that it has have ended.

        Raises:
            ServingError: it is unknown, or gets calls.
        """
        served = self._model(model)
        self._perform(served, served.router.remove(version, self._clock.now()))

    # Parts

    def _start(self, call: ModelCall, *, is_stream: bool) -> Call:
        model = self._models.get(call.model)
        if model is None:
            name, _, version = call.model.partition("@")
            if not version or name not in self._models:
                raise self._unknown(call.model)
            call, model = call._replace(model=name, version=version), self._models[name]
        if self._is_closed:
            raise ending()
        running = Call(call, model, self._loop_now().create_future(), self._clock.now())
        if is_stream:
            running.pieces = deque()
        self._runner.start(running)
        return running

    def _loop_now(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise ServingError("The server has not started yet.", 503, "not_started", retry_after=1.0)
        return self._loop

    def _model(self, name: str) -> ServedModel:
        model = self._models.get(name)
        if model is None:
            raise self._unknown(name)
        return model

    def _unknown(self, name: str) -> ServingError:
        known = ", ".join(self._models) or "none"
        hint = did_you_mean(name, self._models)
        return ServingError(f"No model is called {name!r}.{hint} Known: {known}.", 404, "model_not_found")

    def _new_version(self, model: ServedModel, config: VersionConfig) -> Version:
        there = [*model.router.versions.values(), *self._first.get(model.config.name, ())]
        taken = [name for each in there for name in (each.name, *each.aliases)]
        config = with_options_of_app(config)
        name = provisional_name(config, taken)
        executor = choose_executor(config, self._config, self._executors)
        if executor is None:
            if self._executor_for is None:
                raise ConfigurationError(
                    f"no executor runs image {str(config.image)!r}. Add one with image={str(config.image)!r}."
                )
            executor = self._executor_for(config)
            self._executors.setdefault(executor.label, executor)
        place = Place(config, function_of(config, f"{model.config.name}@{name}"), executor)
        return Version(name, place, weight=config.weight, shadow=config.shadow)

    def _bind(self, place: Place) -> None:
        """Have the executor of *place* bring outcomes into the event loop, all of a message at once, until the end.

        Raises:
            ConfigurationError: they go to another service.
        """
        direct = place.direct
        if direct.deliver == self._deliver:
            return
        other = getattr(direct.deliver, "__self__", None)
        if isinstance(other, LiveService) and other.is_open:
            raise ConfigurationError(
                f"Executor {place.executor.label!r} has a server already: serve all its models by one, or close that."
            )
        self._bound.append((direct, direct.deliver))
        direct.deliver = self._deliver
        direct.collect(self._loop_now().call_soon)

    @property
    def is_open(self) -> bool:
        """True from the start until the event loop is closed."""
        return self._loop is not None and not self._loop.is_closed()

    def _deliver(self, due: list[Any]) -> None:
        assert self._loop is not None  # it has started
        try:
            self._loop.call_soon_threadsafe(self._call_all, due)
        except RuntimeError:  # the loop has ended; some may be of others than this service
            self._call_all(due)

    def _call_all(self, due: list[Any]) -> None:
        for callback, value in due:
            try:
                callback(value)
            except Exception:
                logger.exception("an outcome could not be taken")
        self._observer.on_delivered()

    def _perform(self, model: ServedModel, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Load(version):
                    self._warm_ups.load(model, version)
                case Unload(version):
                    self._warm_ups.unload(version)
                case Moved(weights):
                    shares = ", ".join(f"{name}: {weight:g}" for name, weight in weights.items())
                    logger.info("calls of model %s go to %s", model.config.name, shares)
                case Refused(version):
                    logger.warning("%s", roll_failed(model.config.name, version))

    def _tick(self) -> None:
        assert self._loop is not None  # it has started
        self._timer = self._loop.call_later(TICK, self._tick)
        self._ticks += 1
        try:
            self._runner.on_tick()
            if self._ticks % _TICKS_OF_LOOK == 0:
                self._look()
        except Exception:
            logger.exception("a look at deadlines and versions has failed")

    def _look(self) -> None:
        self._warm_ups.on_tick()
        for model in self._models.values():
            self._perform(model, model.router.on_tick(self._clock.now()))
            for version in list(model.router.versions.values()):
                place: Place = version.source
                if not version.digest and (digest := place.digest()):
                    model.router.on_digest(version, digest, is_named=bool(place.config.version))

    def _status_of(self, version: Version) -> VersionStatus:
        return status_of(version, self._warm_ups.workers(version))

"""Random walks of calls through a service without an event loop: rolls, losses, slow workers, callers that go."""

import contextlib
import random
from concurrent.futures import Future

import pytest

from cnflow.config.serving import ModelConfig, VersionConfig
from cnflow.errors import InterchangeLostError, ManagerLost, TaskCutOff, WorkerLost
from cnflow.model.task import AppFunction
from cnflow.serving.call_observer import CallObserver
from cnflow.serving.call_runner import CallRunner
from cnflow.serving.metrics import ServingMetrics
from cnflow.serving.places import Place
from cnflow.serving.served_model import Call, ServedModel
from cnflow.serving.service import ModelCall, RowForm, ServingError
from cnflow.serving.versions import Load, Unload, Version
from cnflow.serving.warm_up import WarmUps
from cnflow.testing import FakeClock
from tests.unit.serving.world import FakeExecutor

LOSSES = (
    lambda: ManagerLost("silent"),
    lambda: InterchangeLostError("died"),
    lambda: TaskCutOff("Task 1", "here", ran=False),
)


class Walk:
    def __init__(self, seed, **options):
        self.chance = random.Random(seed)
        self.clock = FakeClock()
        self.executor = FakeExecutor()
        self.direct = self.executor.direct
        self.direct.deliver = lambda due: [callback(value) for callback, value in due]
        self.direct.answers_warm_ups = False
        self.model = ServedModel(ModelConfig(name="digits", module="app0", version="v0", **options))
        self.runner = CallRunner(self.clock, self.perform, CallObserver(ServingMetrics(), None, self.clock.now))
        self.warm_ups = WarmUps(self.clock, self.perform)
        self.rolls, self.calls, self.refused = 0, [], 0
        self.perform(self.model, self.model.router.add(self.version(1.0), self.clock.now()))
        self.direct.end(self.warming()[0], b"[]")

    def version(self, weight=0.0):
        config = VersionConfig(module=f"app{self.rolls}", version=f"v{self.rolls}")
        app = AppFunction(len, name=config.version)
        self.rolls += 1
        return Version(config.version, Place(config, app, self.executor), weight=weight)

    def perform(self, model, actions):
        for action in actions:
            if isinstance(action, Load):
                self.warm_ups.load(model, action.version)
            elif isinstance(action, Unload):
                self.warm_ups.unload(action.version)

    def warming(self):
        return [sent for sent in self.direct.held.values() if sent.batch.apart == "warm-up"]

    def working(self):
        return [sent for sent in self.direct.held.values() if sent.batch.apart != "warm-up"]

    def begin(self):
        request = ModelCall("digits", RowForm.JSON, b"[1]", 1, is_bulk=self.chance.random() < 0.2)
        call = Call(request, self.model, Future(), self.clock.now())
        try:
            self.runner.start(call)
        except ServingError:
            self.refused += 1
        else:
            self.calls.append(call)

    def end_one(self, error=None):
        if working := self.working():
            self.direct.end(self.chance.choice(working), b"[1]" if error is None else None, error)

    def roll(self):
        self.perform(self.model, self.model.router.roll(self.version(), self.clock.now()))

    def roll_back(self):
        with contextlib.suppress(ServingError):  # there is no earlier one
            self.perform(self.model, self.model.router.roll_back(self.clock.now()))

    def end_warm_up(self, error=None):
        if warming := self.warming():
            self.direct.end(self.chance.choice(warming), b"[]", error)

    def pass_time(self, seconds):
        self.clock.advance(seconds)
        self.runner.on_tick()
        self.warm_ups.on_tick()
        self.perform(self.model, self.model.router.on_tick(self.clock.now()))

    def check(self):
        """Counts are those of the calls without an answer, and each of them is with a version that is loaded."""
        open_calls = [call for call in self.calls if not call.answer.done()]
        assert self.runner.in_flight == len(open_calls)
        admission = self.model.admission
        assert admission.running + admission.waiting == len(open_calls)
        assert not admission.waiting or admission.running == self.model.config.max_concurrency
        copies = [call for sent in self.working() if (call := sent.done.args[0]).answer is None]
        for version in self.model.router.versions.values():
            assert version.in_flight == sum(call.version is version for call in [*open_calls, *copies])
        for call in open_calls:
            assert call.version is None or call.version.source.app in self.direct.prepared

    def finish(self):
        while self.working() or self.warming():
            self.end_warm_up()
            self.end_one()
            self.check()
            self.pass_time(0.2)
        for _ in range(60):
            self.pass_time(0.2)
            while self.working():
                self.end_one()
        assert all(call.answer.done() for call in self.calls)
        assert (self.runner.in_flight, len(self.runner._deadlines), len(self.runner._delayed)) == (0, 0, 0)
        return [call.answer.exception() for call in self.calls]


@pytest.mark.parametrize("seed", range(12))
def test_rolls_and_losses_fail_no_call(seed):
    """Nothing but workers' answers and lost infrastructure: each call gets its answer, whatever is rolled meanwhile."""
    walk = Walk(seed, retries=1000, max_concurrency=8, max_queue=1000, keep_previous=2.0, timeout=1e6)
    for _ in range(400):
        step = walk.chance.choices(
            [
                walk.begin,
                walk.end_one,
                lambda: walk.end_one(walk.chance.choice(LOSSES)()),
                walk.roll,
                walk.roll_back,
                walk.end_warm_up,
                lambda: walk.end_warm_up(ValueError("broken")),
                lambda: walk.pass_time(walk.chance.choice([0.05, 0.3, 1.0, 3.0])),
            ],
            [40, 30, 8, 3, 2, 4, 1, 12],
        )[0]
        step()
        walk.check()
    assert walk.finish() == [None] * len(walk.calls)
    assert walk.refused == 0


@pytest.mark.parametrize("seed", range(12))
def test_each_call_ends_once_whatever_happens(seed):
    walk = Walk(seed, retries=2, max_concurrency=4, max_queue=5, keep_previous=1.0, timeout=3.0)
    for _ in range(400):
        walk.chance.choices(
            [
                walk.begin,
                walk.end_one,
                lambda: walk.end_one(walk.chance.choice(LOSSES)()),
                lambda: walk.end_one(WorkerLost("Task 1", "here", -9)),
                lambda: walk.end_one(ValueError("bad")),
                lambda: walk.calls and walk.runner.give_up(walk.chance.choice(walk.calls)),
                walk.roll,
                walk.roll_back,
                walk.end_warm_up,
                lambda: walk.end_warm_up(walk.chance.choice([ValueError("broken"), ManagerLost("silent")])),
                lambda: walk.pass_time(walk.chance.choice([0.05, 0.3, 1.0])),
            ],
            [40, 20, 5, 3, 3, 3, 3, 2, 4, 1, 12],
        )[0]()
    gone = [call for call in walk.calls if call.is_over and not call.answer.done()]
    for call in gone:
        call.answer.cancel()
    walk.calls = [call for call in walk.calls if call not in gone]
    for error in walk.finish():
        assert error is None or error.status in {500, 503, 504}
    assert walk.model.admission.running == walk.model.admission.waiting == 0
    assert {version.in_flight for version in walk.model.router.versions.values()} == {0}

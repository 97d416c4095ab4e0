"""A service with a fake executor, a clock that tests move, and calls that tests answer."""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import CancelledError, Future
from typing import Any, NamedTuple

from cnflow.config.serving import ServeConfig
from cnflow.model.image import Image
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import Outcome
from cnflow.serving.live_service import LiveService
from cnflow.serving.service import ModelCall, RowForm
from cnflow.testing import FakeClock


class Sent(NamedTuple):
    """A task that the executor holds."""

    id: int
    app: Any
    args: tuple[Any, ...]
    batch: Any
    done: Any
    piece: Any


class FakeDirect:
    """Holds calls until a test ends them; loads models at once, unless a test says otherwise."""

    def __init__(self):
        self.deliver = None
        self.held = {}
        self.cancelled = []
        self.prepared = []
        self.workers = 1
        self.answers_warm_ups = True
        self._ids = itertools.count()

    def submit(self, app, args, kwargs=None, options=None, batch=None, *, done, piece=None):  # noqa: PLR0913 - as executors have it
        assert kwargs is None
        sent = Sent(next(self._ids), app, args, batch, done, piece)
        self.held[sent.id] = sent
        if batch.apart == "warm-up" and self.answers_warm_ups:
            self.end(sent, args[1])
        return sent.id

    def collect(self, call_soon):
        self.call_soon = call_soon

    def cancel(self, calls):
        self.cancelled += calls
        for call in calls:
            if call in self.held:
                self.end(self.held[call], error=CancelledError())

    def prepare(self, apps, on_prepared):
        self.prepared += apps

    def forget(self, apps):
        self.prepared = [app for app in self.prepared if app not in apps]

    def ready_workers(self, app):
        return self.workers if app in self.prepared else 0

    def end(self, sent, value=None, error=None, seconds=0.0):
        del self.held[sent.id]
        self.deliver([(sent.done, Outcome(sent.id, value, error, seconds=seconds))])

    def pieces(self, sent, *pieces):
        self.deliver([(sent.piece, piece) for piece in pieces])

    def of(self, name):
        return [sent for sent in self.held.values() if sent.app.name == name]


class FakeExecutor:
    def __init__(self, label="htex", image="", digest=""):
        self.label, self.image, self.direct, self.blocks = label, Image.of(image), FakeDirect(), 1
        self.digest = Future()
        if digest:
            self.digest.set_result(digest)

    def status(self):
        return ExecutorStatus(self.label, str(self.image), self.blocks, self.blocks, self.direct.workers)


class World:
    """A service that runs in the test's event loop."""

    def __init__(self, model=None, executors=(), observer=None, **options):
        executors = executors or (FakeExecutor(),)
        model = {"name": "digits", **({"module": "app1", "version": "1"} if model is None else model), **options}
        config = ServeConfig(
            models=[model], executors=[{"kind": "high_throughput", "label": each.label} for each in executors]
        )
        self.clock = FakeClock(100.0)
        self.executors = {each.label: each for each in executors}
        self.direct = executors[0].direct
        self.answers = []
        self.service = LiveService(config, self.executors, self.clock, observer=observer)

    async def __aenter__(self):
        await self.service.start()
        await settle()
        return self

    async def __aexit__(self, *_):
        await self.service.close()
        await asyncio.gather(*self.answers, return_exceptions=True)

    def call(self, rows=b"[1]", **options):
        call = ModelCall("digits", RowForm.JSON, rows, 1)._replace(**options)
        self.answers.append(asyncio.ensure_future(self.service.predict(call)))
        return self.answers[-1]

    async def sent(self, number=None):
        """Calls that the executor holds, in order."""
        await settle()
        held = list(self.direct.held.values())
        assert number is None or len(held) == number, held
        return held

    async def later(self, seconds):
        """Time passes, in steps of a second."""
        await settle()
        while seconds > 0:
            step = min(seconds, 1.0)
            self.clock.advance(step)
            seconds -= step
            self.service._runner.on_tick()
            self.service._look()
            await settle()

    @property
    def versions(self):
        return {each.version: each for each in self.service.models()["digits"].versions}


async def settle():
    """Let all that is due in the loop happen."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(story):
    """Run a coroutine function as a test."""

    def test():
        asyncio.run(asyncio.wait_for(story(), 20))

    test.__name__ = story.__name__
    return test

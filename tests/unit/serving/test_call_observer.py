import asyncio
import random

import pytest

from cnflow.errors import ManagerLost
from cnflow.model.provenance import Place
from cnflow.model.task import Outcome
from cnflow.serving.call_observer import CallObserver
from cnflow.serving.metrics import ServingMetrics
from cnflow.serving.service import ModelCall, RowForm, ServingError
from cnflow.serving.traces import RequestTraces
from tests.unit.serving.world import World, run, settle

TWO_VERSIONS = [{"version": "1", "module": "app1"}, {"version": "2", "module": "app2", "weight": 0, "shadow": 1.0}]


class Seen:
    """An observer, the metrics that it counts, and the spans that it sends."""

    def __init__(self):
        self.spans = []
        self.metrics = ServingMetrics()
        traces = RequestTraces(self.spans.extend, 1.0, random.Random(1))
        self.observer = CallObserver(self.metrics, traces, lambda: 1_000.0)

    def has(self, line):
        return f"cnflow_serving_{line}\n" in self.metrics.render()


def outcome(sent, manager, worker, ended):
    return (sent.done, Outcome(sent.id, b"[7]", place=Place("r", "htex", manager=manager), worker=worker, ended=ended))


@run
async def test_calls_of_one_batch_are_counted_as_one():
    seen = Seen()
    async with World(observer=seen.observer) as world:
        for _ in range(4):
            world.call(b"[1]", row_count=2)
        one, two, three, four = await world.sent(4)
        world.direct.deliver(
            [
                outcome(one, "m1", 0, 5.0),
                outcome(three, "m1", 1, 5.0),
                outcome(two, "m1", 0, 5.0),
                outcome(four, "m2", 0, 5.0),
            ]
        )
        await settle()
    assert seen.has('batch_rows_count{model="digits",version="1"} 3')
    assert seen.has('batch_rows_sum{model="digits",version="1"} 8')
    assert seen.has('batch_rows_bucket{model="digits",version="1",le="2"} 2')
    assert seen.has('calls_total{model="digits",version="1",code="ok"} 4')


@run
async def test_waiting_and_predicting_are_told_apart():
    seen = Seen()
    async with World(observer=seen.observer) as world:
        answer = world.call()
        (sent,) = await world.sent(1)
        world.clock.advance(0.5)
        world.direct.end(sent, b"[7]", seconds=0.25)
        await answer
    assert seen.has('queue_seconds_sum{model="digits",version="1"} 0.25')
    assert seen.has('compute_seconds_sum{model="digits",version="1"} 0.25')
    assert [span.name for span in seen.spans] == ["queue", "compute", "predict digits"]
    assert (seen.spans[-1].start, seen.spans[-1].end) == (999.5, 1_000.0)


@run
async def test_further_attempts_and_errors_are_counted():
    seen = Seen()
    async with World(observer=seen.observer) as world:
        answer = world.call()
        (sent,) = await world.sent(1)
        world.direct.end(sent, error=ManagerLost("silent"))
        (again,) = await world.sent(1)
        world.direct.end(again, error=ValueError("no rows"))
        with pytest.raises(ServingError, match="no rows"):
            await answer
    assert seen.has('attempts_total{model="digits",version="1"} 1')
    assert seen.has('calls_total{model="digits",version="1",code="model_error"} 1')
    (span,) = seen.spans
    assert span.attributes["cnflow.attempts"] == 2
    assert "no rows" in span.error


@run
async def test_caller_that_goes_is_no_error_of_the_model():
    seen = Seen()
    async with World(observer=seen.observer) as world:
        answer = world.call()
        await world.sent(1)
        answer.cancel()
        await settle()
    assert seen.has('calls_total{model="digits",version="1",code="client_gone"} 1')
    assert seen.spans[-1].attributes["http.response.status_code"] == 499


@run
async def test_copies_for_a_shadow_are_counted_apart_and_not_traced():
    seen = Seen()
    async with World({"versions": TWO_VERSIONS}, observer=seen.observer) as world:
        answer = world.call()
        await world.sent(2)
        (copy,) = world.direct.of("digits@2")
        (sent,) = world.direct.of("digits@1")
        world.clock.advance(0.5)
        world.direct.end(copy, error=ValueError("of the new version"))
        world.direct.end(sent, b"[7]")
        await answer
    assert seen.has('shadow_calls_total{model="digits",version="2",code="model_error"} 1')
    assert seen.has('shadow_seconds_sum{model="digits",version="2"} 0.5')
    assert seen.has('calls_total{model="digits",version="1",code="ok"} 1')
    assert 'calls_total{model="digits",version="2"' not in seen.metrics.render().replace("shadow_calls", "")
    assert len([span for span in seen.spans if span.is_server]) == 1


@run
async def test_pieces_of_a_stream_are_counted_with_the_time_until_the_first_and_between_two():
    seen = Seen()
    async with World(observer=seen.observer) as world:
        pieces = world.service.stream(ModelCall("digits", RowForm.JSON, b"[1]", 1))
        first = asyncio.ensure_future(anext(pieces))
        (sent,) = await world.sent(1)
        world.clock.advance(0.5)
        world.direct.pieces(sent, b"1")
        assert await first == b"1"
        world.clock.advance(0.25)
        world.direct.pieces(sent, b"2")
        world.direct.end(sent, None)
        assert [piece async for piece in pieces] == [b"2"]
    assert seen.has('pieces_total{model="digits",version="1"} 2')
    assert seen.has('first_piece_seconds_sum{model="digits",version="1"} 0.5')
    assert seen.has('piece_seconds_sum{model="digits",version="1"} 0.25')
    assert not seen.has('batch_rows_count{model="digits",version="1"} 1')
    assert seen.spans[-1].name == "stream digits"
    assert seen.spans[-1].attributes["cnflow.pieces"] == 2

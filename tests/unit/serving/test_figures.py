import asyncio

import pytest

from cnflow.config import JsonLinesSink, OpenTelemetrySink
from cnflow.serving import figures as figures_module
from cnflow.serving.figures import ServerFigures
from cnflow.serving.gauges import is_served
from cnflow.serving.metrics import ServingMetrics
from cnflow.serving.processes.front_metrics import METRICS, FrontMetrics
from cnflow.serving.service import ModelStatus, ServingError, VersionStatus
from tests.unit.serving.world import World, run, settle

MODELS = {"digits": ModelStatus("digits", [VersionStatus("1", 1.0, False, "ready", "", "a:1", "", {}, 1, 0)])}


class Link:
    """A server that adds up what its front reports."""

    def __init__(self):
        self.reports = []
        self.figures = ServerFigures([])

    def models(self):
        return MODELS

    def report(self, content):
        self.reports.append(content)

    async def command(self, question):
        assert question == {"do": METRICS}
        return {"text": self.figures.render(self.reports[-1:])}


def counts(text):
    start = "cnflow_serving_requests_total"
    return {line.removeprefix(start) for line in text.splitlines() if line.startswith(start)}


def test_counts_of_a_front_that_has_ended_stay_in_the_sum():
    figures = ServerFigures([])
    fronts = [ServingMetrics(), ServingMetrics()]
    for front in fronts:
        front.on_request("digits", "1", 200, 0.01)
    whole = {'{model="digits",version="1",status="200"} 2'}
    assert counts(figures.render(front.pack() for front in fronts)) == whole
    figures.on_front_ended(fronts[0].pack())
    figures.on_front_ended(b"")  # one that had counted nothing
    assert counts(figures.render([fronts[1].pack()])) == whole
    figures.on_front_ended(fronts[1].pack())
    assert counts(figures.render()) == whole


def test_text_of_a_front_has_its_newest_counts_and_reports_are_sent_when_there_is_news():
    link = Link()
    front = FrontMetrics(link)
    front.on_request("digits", "1", 200, 0.01)
    front.on_request("nonsense", "", 404, 0.01)
    text = asyncio.run(front.render())
    assert counts(text) == {
        '{model="",version="",status="404"} 1',
        '{model="digits",version="1",status="200"} 1',
    }
    front.report()
    assert len(link.reports) == 1


def test_only_names_that_are_served_are_labels():
    assert is_served(MODELS, "digits", "")
    assert is_served(MODELS, "digits", "1")
    assert not is_served(MODELS, "digits", "2")
    assert not is_served(MODELS, "letters", "")


@run
async def test_states_and_calls_are_looked_up_in_the_service():
    figures = ServerFigures([])
    assert "\ncnflow_serving_ready " not in figures.render()
    async with World(observer=figures.observer, max_concurrency=2) as world:
        figures.service = world.service
        for _ in range(3):
            world.call()
        await world.sent(2)
        text = figures.render()
        for line in (
            "cnflow_serving_ready 1",
            'cnflow_serving_load{model="digits"} 1.5',
            'cnflow_serving_calls{model="digits",state="running"} 2',
            'cnflow_serving_calls{model="digits",state="waiting"} 1',
            'cnflow_serving_version_calls{model="digits",version="1"} 2',
        ):
            assert line in text
        figures.metrics.on_request("digits", "7", 404, 0.001)
        assert '{model="digits",version="",status="404"} 1' in counts(figures.render())
        await settle()


class FakeClient:
    def __init__(self, settings):
        self.settings, self.spans, self.is_closed = settings, [], False

    def send(self, spans):
        self.spans += spans

    def close(self, timeout):
        assert timeout > 0
        self.is_closed = True
        return True


def test_requests_are_traced_where_the_run_has_a_sink_for_it(monkeypatch):
    monkeypatch.setattr(figures_module, "_client_of", FakeClient)
    figures = ServerFigures([JsonLinesSink(), OpenTelemetrySink(request_share=0.0)])

    async def story():
        async with World(observer=figures.observer) as world:
            answers = [world.call(), world.call(traceparent=f"00-{'a' * 32}-{'b' * 16}-01")]
            for sent in await world.sent(2):
                world.direct.end(sent, b"[7]", seconds=0.1)
            await asyncio.gather(*answers)

    asyncio.run(story())
    (client,) = figures._clients
    assert [span.name for span in client.spans] == ["queue", "compute", "predict digits"]
    assert client.spans[-1].trace == int("a" * 32, 16)
    figures.close()
    assert client.is_closed


def test_front_whose_server_has_ended_has_no_text():
    class Gone(Link):
        async def command(self, question):
            raise ServingError(f"The server has ended: {question}", 503, "server_gone")

    with pytest.raises(ServingError, match="has ended"):
        asyncio.run(FrontMetrics(Gone()).render())

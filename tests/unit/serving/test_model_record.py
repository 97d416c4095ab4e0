from cnflow.model.model_events import ModelEvent, ModelFigures
from cnflow.serving.gauges import CallsNow
from cnflow.serving.metrics import OK, ServingMetrics
from cnflow.serving.model_record import PERIOD, ModelRecord
from cnflow.serving.service import ModelStatus, VersionStatus


def version(name="1", state="ready", weight=1.0, **changed):
    whole = VersionStatus(name, weight, False, state, "", "app1:0.1", "", {}, 1, 0)
    return whole._replace(**changed)


class Recorded:
    """A record, with a clock that moves a `PERIOD` with each look."""

    def __init__(self):
        self.events = []
        self.now = 1_800_000_000.0
        self.metrics = ServingMetrics()
        self.record = ModelRecord(self.events.append, lambda: self.now)

    def look(self, *versions, seconds=PERIOD, waiting=0):
        self.now += seconds
        self.record.on_look(
            {"digits": ModelStatus("digits", list(versions))},
            {"digits": CallsNow(0, waiting, 8)},
            lambda: self.metrics,
        )
        found, self.events[:] = [*self.events], []
        return found


def states(events):
    return [(each.version, each.state) for each in events if isinstance(each, ModelEvent)]


def figures(events):
    return [each for each in events if isinstance(each, ModelFigures)]


def test_states_and_shares_of_a_roll_are_events_and_what_stays_is_none():
    recorded = Recorded()
    old, new = version("1"), version("2", "loading", 0.0)
    assert states(recorded.look(old)) == [("1", "ready"), ("", "weights")]
    assert states(recorded.look(old)) == []
    assert states(recorded.look(old, new)) == [("2", "loading")]
    moved = recorded.look(version("1", weight=0.0), version("2"))
    assert states(moved) == [("2", "ready"), ("", "weights")]
    assert moved[1].weights == {"2": 1.0}
    assert states(recorded.look(version("2"))) == [("1", "gone")]
    assert states(recorded.look(version("2", is_shadow=True))) == [("2", "shadow")]
    assert states(recorded.look(version("2"))) == [("2", "no_shadow")]


def test_failure_of_a_version_has_its_reason():
    recorded = Recorded()
    recorded.look(version(), version("2", "loading", 0.0))
    (event,) = [
        each for each in recorded.look(version(), version("2", "failed", 0.0, reason="no module")) if states([each])
    ]
    assert (event.version, event.state, event.reason) == ("2", "failed", "no module")


def test_version_that_is_named_by_its_digest_goes_on_under_that_name():
    recorded = Recorded()
    recorded.look(version("1"))
    found = recorded.look(version("0a1b2c3d4e5f", aliases=("1",), digest="0a1b2c3d4e5f66"))
    assert states(found) == [("0a1b2c3d4e5f", "ready"), ("1", "gone"), ("", "weights")]
    assert found[1].reason == "it is called 0a1b2c3d4e5f now"


def test_counts_are_reported_once_a_period_and_as_differences():
    recorded = Recorded()
    recorded.look(version())
    for seconds in (0.004, 0.04):
        recorded.metrics.on_request("digits", "1", 200, seconds)
        recorded.metrics.on_call("digits", "1", OK, 0.001, 0.002)
    recorded.metrics.on_batch("digits", "1", 2, 0.003)
    assert figures(recorded.look(version(), seconds=1.0)) == []
    (first,) = figures(recorded.look(version(in_flight=3), waiting=4))
    assert (first.requests, first.errors, first.rows, first.batches) == (2, 0, 2, 1)
    assert (first.in_flight, first.waiting, first.workers, first.weight, first.state) == (3, 4, 1, 1.0, "ready")
    assert first.interval == PERIOD + 1.0
    assert first.histograms["latency"] == [(0.005, 1), (0.05, 1)]
    assert first.histograms["batch"] == [(2.0, 1)]
    recorded.metrics.on_request("digits", "1", 503, 0.004)
    (second,) = figures(recorded.look(version(in_flight=3), waiting=4))
    assert (second.requests, second.errors, second.rows) == (1, 1, 0)
    assert second.histograms == {"latency": [(0.005, 1)]}
    assert figures(recorded.look(version(in_flight=3), waiting=4)) == []  # nothing new


def test_requests_that_were_refused_before_a_version_was_chosen_are_counted():
    recorded = Recorded()
    recorded.look(version())
    recorded.metrics.on_request("digits", "1", 200, 0.004)
    recorded.metrics.on_request("digits", "", 429, 0.001)
    by_version = {each.version: each for each in figures(recorded.look(version()))}
    assert (by_version[""].requests, by_version[""].refused, by_version[""].state) == (1, 1, "")


def test_end_reports_the_last_counts_and_that_nothing_is_served():
    recorded = Recorded()
    recorded.look(version())
    recorded.metrics.on_request("digits", "1", 200, 0.004)
    recorded.record.close({}, recorded.metrics)
    assert [each.requests for each in figures(recorded.events)] == [1]
    assert states(recorded.events) == [("1", "gone")]


def test_clock_that_is_set_back_stops_no_reports():
    recorded = Recorded()
    recorded.look(version())
    recorded.metrics.on_request("digits", "1", 200, 0.004)
    (found,) = figures(recorded.look(version(), seconds=-3600))
    assert (found.requests, found.interval) == (1, 0.0)


def test_version_that_is_gone_has_no_more_figures_when_the_queue_changes():
    recorded = Recorded()
    recorded.metrics.on_request("digits", "1", 200, 0.01)
    recorded.look(version("1"))
    recorded.look(version("2"))
    changed = [each.version for waiting in (3, 4) for each in figures(recorded.look(version("2"), waiting=waiting))]
    assert changed == ["2", "2"]

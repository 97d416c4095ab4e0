import pytest

from cnflow.model import events as ev
from cnflow.model.model_events import ABOVE_ALL
from cnflow.monitoring.store.histograms import quantile
from cnflow.monitoring.store.memory import Memory
from cnflow.monitoring.store.rows import RowMaker

T = 1_800_000_000.0
KEY = ("digits", "2")


def rows_of(*events):
    maker = RowMaker(Memory())
    maker.take(100, list(events))
    return maker.finish().rows


def figures(time=T, **changed):
    values = {"requests": 3, "errors": 1, "rows": 8, "batches": 2, "state": "ready", "workers": 2, "waiting": 1}
    histograms = {"latency": [(0.01, 2), (0.05, 1)], "batch": [(4.0, 2)]}
    return ev.ModelFigures(
        time=time, model="digits", version="2", interval=5.0, histograms=histograms, **{**values, **changed}
    )


def test_counts_of_a_version_are_added_up_and_its_state_is_the_last():
    rows = rows_of(figures(), figures(T + 5, state="draining", workers=1))
    version = rows["model_version"][KEY]
    assert (version["requests_count"], version["errors_count"], version["rows_count"]) == (6, 2, 16)
    assert (version["state"], version["workers"], version["time_first"], version["time_updated"]) == (
        "draining",
        1,
        T,
        T + 5,
    )
    assert rows["model_histogram"][(*KEY, "latency", 0.01)] == {"count": 4}
    assert rows["model_progress"][(int(T), *KEY)]["requests"] == 3
    assert rows["model_progress"][(int(T) + 5, *KEY)]["latency_p50"] == pytest.approx(0.0075)


def test_events_of_a_model_are_rows_of_events_and_states_are_those_of_the_version():
    loading = ev.ModelEvent(time=T, model="digits", version="2", state="loading", image="digits:2")
    weights = ev.ModelEvent(time=T + 1, model="digits", version="", state="weights", weights={"2": 1.0})
    loaded = ev.ModelEvent(time=T + 1, model="digits", version="2", state="loaded", manager="m", worker=0)
    rows = rows_of(loading, weights, loaded)
    assert [row["subject"] for row in rows["event"].values()] == ["digits@2", "digits", "digits@2"]
    assert {row["kind"] for row in rows["event"].values()} == {"model"}
    assert list(rows["model_version"]) == [KEY]
    assert rows["model_version"][KEY]["state"] == "loading"


def test_version_that_is_gone_has_no_share_and_no_workers():
    rows = rows_of(figures(weight=1.0), ev.ModelEvent(time=T + 9, model="digits", version="2", state="gone"))
    version = rows["model_version"][KEY]
    assert (version["state"], version["weight"], version["workers"], version["requests_count"]) == ("gone", 0.0, 0, 3)
    assert version["waiting"] == 0


def test_requests_without_a_version_leave_the_state_alone():
    refused = ev.ModelFigures(time=T, model="digits", version="", interval=5.0, requests=2, refused=2)
    version = rows_of(refused)["model_version"]["digits", ""]
    assert "state" not in version
    assert version["refused_count"] == 2


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ([], 0.5, None),
        ([(0.01, 0)], 0.5, None),
        ([(0.01, 10)], 0.5, 0.005),
        ([(0.05, 5), (0.01, 5)], 0.5, 0.01),
        ([(0.01, 5), (0.05, 5)], 0.75, 0.03),
        ([(0.01, 1), (ABOVE_ALL, 9)], 0.99, 0.01),
        ([(0.01, 5), (0.05, 5)], 1.0, 0.05),
    ],
)
def test_quantile_is_interpolated_within_its_bucket(buckets, share, expected):
    assert quantile(buckets, share) == (None if expected is None else pytest.approx(expected))

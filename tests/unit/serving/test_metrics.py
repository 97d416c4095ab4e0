import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnflow.serving import metric_families as families
from cnflow.serving import metrics as serving_metrics
from cnflow.serving.gauges import CallsNow, service_gauges
from cnflow.serving.metrics import ServingMetrics
from cnflow.serving.service import ModelStatus, VersionStatus

LINE = re.compile(r"(# (HELP|TYPE) cnflow_serving_\w+ .+|cnflow_serving_\w+(\{(\w+=\"[^\"]*\",?)*\})? [\d.e+-]+)")


def lines_of(metrics: ServingMetrics, start: str) -> list[str]:
    return [line for line in metrics.render().splitlines() if line.startswith(f"cnflow_serving_{start}")]


def test_requests_are_counted_by_status_and_timed():
    metrics = ServingMetrics()
    metrics.on_request("digits", "1", 200, 0.004)
    metrics.on_request("digits", "1", 200, 0.02)
    metrics.on_request("digits", "", 504, 60.0)
    assert lines_of(metrics, "requests_total") == [
        'cnflow_serving_requests_total{model="digits",version="",status="504"} 1',
        'cnflow_serving_requests_total{model="digits",version="1",status="200"} 2',
    ]
    found = lines_of(metrics, "request_seconds")
    assert 'cnflow_serving_request_seconds_bucket{model="digits",version="1",le="0.005"} 1' in found
    assert 'cnflow_serving_request_seconds_bucket{model="digits",version="1",le="0.025"} 2' in found
    assert 'cnflow_serving_request_seconds_sum{model="digits",version="1"} 0.024' in found
    assert 'cnflow_serving_request_seconds_count{model="digits",version=""} 1' in found


def test_refused_requests_do_not_make_the_latency_look_better():
    metrics = ServingMetrics(is_served=lambda _, __: True)
    metrics.on_request("digits", "", 429, 0.0001)
    metrics.on_request("digits", "1", 499, 0.3)
    assert lines_of(metrics, "request_seconds") == []
    assert len(lines_of(metrics, "requests_total")) == 2


def test_names_that_callers_make_up_are_one_series():
    metrics = ServingMetrics(is_served=lambda name, version: name == "digits" and version in ("", "1"))
    for number in range(50):
        metrics.on_request(f"no-such-{number}", "", 404, 0.001)
        metrics.on_request("digits", f"no-such-{number}", 404, 0.001)
        metrics.on_request(f"no-such-{number}", "1", 401, 0.001)
    assert lines_of(metrics, "requests_total") == [
        'cnflow_serving_requests_total{model="",version="",status="401"} 50',
        'cnflow_serving_requests_total{model="",version="",status="404"} 50',
        'cnflow_serving_requests_total{model="digits",version="",status="404"} 50',
    ]


def test_versions_beyond_the_most_share_a_series(monkeypatch):
    monkeypatch.setattr(serving_metrics, "MOST_SERIES", 2)
    metrics = ServingMetrics()
    for version in "abcd":
        metrics.on_call("digits", version, "ok", 0.0, 0.0)
    assert lines_of(metrics, "calls_total") == [
        'cnflow_serving_calls_total{model="digits",version="",code="ok"} 2',
        'cnflow_serving_calls_total{model="digits",version="a",code="ok"} 1',
        'cnflow_serving_calls_total{model="digits",version="b",code="ok"} 1',
    ]


def test_errors_of_a_version_are_told_by_their_code():
    metrics = ServingMetrics(is_served=lambda _, __: True)
    metrics.on_call("digits", "2", "model_error", 0.0, 0.0)
    metrics.on_call("digits", "2", "ok", 0.003, 0.007)
    metrics.on_call("digits", "", "timeout", 0.0, 0.0)
    assert lines_of(metrics, "calls_total") == [
        'cnflow_serving_calls_total{model="digits",version="",code="timeout"} 1',
        'cnflow_serving_calls_total{model="digits",version="2",code="model_error"} 1',
        'cnflow_serving_calls_total{model="digits",version="2",code="ok"} 1',
    ]
    assert 'cnflow_serving_queue_seconds_sum{model="digits",version="2"} 0.003' in lines_of(metrics, "queue")
    assert 'cnflow_serving_compute_seconds_count{model="digits",version="2"} 1' in lines_of(metrics, "compute")


def test_batches_streams_shadows_and_attempts_are_counted():
    metrics = ServingMetrics()
    metrics.on_batch("digits", "1", 64, 0.01)
    metrics.on_batch("digits", "1", 3, 0.002)
    metrics.on_piece("digits", "1", 0.2, is_first=True)
    metrics.on_piece("digits", "1", 0.01, is_first=False)
    metrics.on_shadow("digits", "2", "ok", 0.02)
    metrics.on_attempt("digits", "1")
    text = metrics.render()
    for line in (
        'cnflow_serving_rows_total{model="digits",version="1"} 67',
        'cnflow_serving_batch_rows_bucket{model="digits",version="1",le="4"} 1',
        'cnflow_serving_batch_rows_bucket{model="digits",version="1",le="64"} 2',
        'cnflow_serving_pieces_total{model="digits",version="1"} 2',
        'cnflow_serving_first_piece_seconds_sum{model="digits",version="1"} 0.2',
        'cnflow_serving_piece_seconds_count{model="digits",version="1"} 1',
        'cnflow_serving_shadow_calls_total{model="digits",version="2",code="ok"} 1',
        'cnflow_serving_attempts_total{model="digits",version="1"} 1',
    ):
        assert line in text


def test_gauges_are_looked_up_when_the_text_is_made():
    versions = [
        VersionStatus("1", 3.0, False, "ready", "", "a:1", "sha256:1", {}, 2, 5),
        VersionStatus("2", 1.0, True, "loading", "", "a:2", "", {}, 0, 0),
    ]
    models = {"digits": ModelStatus("digits", versions)}
    calls = {"digits": CallsNow(running=8, waiting=4, most=8)}
    metrics = ServingMetrics(gauges=lambda: service_gauges(models, calls, is_ready=True))
    text = metrics.render()
    for line in (
        "cnflow_serving_ready 1",
        'cnflow_serving_load{model="digits"} 1.5',
        'cnflow_serving_calls{model="digits",state="waiting"} 4',
        'cnflow_serving_version_weight{model="digits",version="1"} 0.75',
        'cnflow_serving_version_shadow{model="digits",version="2"} 1',
        'cnflow_serving_version_workers{model="digits",version="1"} 2',
        'cnflow_serving_version_state{model="digits",version="2",state="loading",digest=""} 1',
    ):
        assert line in text


def test_each_line_has_the_form_that_prometheus_reads_and_each_metric_is_described_once():
    metrics = ServingMetrics()
    metrics.on_request("digits", "1", 200, 0.004)
    metrics.on_batch("digits", "1", 8, 0.004)
    text = metrics.render()
    assert text.endswith("\n")
    for line in text.splitlines():
        assert LINE.fullmatch(line), line
    for each in (*families.COUNTERS, *families.HISTOGRAMS, *families.GAUGES):
        assert text.count(f"# TYPE {each.name} ") == 1


def test_what_is_no_report_of_a_front_is_refused_and_nothing_is_added():
    metrics = ServingMetrics()
    with pytest.raises(ValueError, match="no counts of a front"):
        metrics.add(b"\x93nonsense")
    assert metrics.pack() == ServingMetrics().pack()


events = st.lists(
    st.tuples(
        st.sampled_from(("a", "b")), st.sampled_from(("1", "2")), st.sampled_from((200, 422, 500)), st.integers(0, 400)
    )
)


@settings(max_examples=30)
@given(st.lists(events, max_size=4))
def test_sum_of_fronts_is_what_one_front_would_have_counted(parts):
    one, fronts = ServingMetrics(is_served=lambda _, __: True), []
    for part in parts:
        front = ServingMetrics(is_served=lambda _, __: True)
        for model, version, status, seconds in part:
            for each in (one, front):
                each.on_request(model, version, status, float(seconds))
                each.on_batch(model, version, seconds, float(seconds))
        fronts.append(front)
    whole = ServingMetrics().sum_with(front.pack() for front in fronts)
    assert whole.render() == one.render()

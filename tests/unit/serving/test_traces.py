import random

import pytest

from cnflow.model.provenance import Place
from cnflow.serving.traces import CallRecord, RequestTraces, parse_traceparent, spans_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PLACE = Place("run", "htex", image="digits:1", host="n17", block="b0", manager="b0/n17")
ANSWERED = CallRecord(
    "digits", "1", "predict", 100.0, 100.5, "ok", rows=8, request_id="r-1", digest="sha256:1", queue_seconds=0.2,
    compute_seconds=0.25, place=PLACE,
)  # fmt: skip


def test_spans_of_a_call_are_children_of_the_callers_span():
    record = ANSWERED._replace(traceparent=f"00-{TRACE}-{SPAN}-01")
    queue, compute, whole = spans_of(record, random.Random(1))
    assert (whole.name, whole.start, whole.end, whole.is_server) == ("predict digits", 100.0, 100.5, True)
    assert (whole.trace, whole.parent) == (int(TRACE, 16), int(SPAN, 16))
    assert {queue.trace, compute.trace} == {whole.trace}
    assert {queue.parent, compute.parent} == {whole.id}
    assert (queue.name, queue.start, queue.end) == ("queue", 100.0, 100.2)
    assert (compute.name, compute.start, compute.end) == ("compute", 100.2, pytest.approx(100.45))
    assert compute.attributes["host.name"] == "n17"
    assert whole.attributes["cnflow.rows"] == 8
    assert whole.attributes["cnflow.version"] == "1"
    assert whole.attributes["container.image.repo_digest"] == "sha256:1"
    assert whole.attributes["http.response.status_code"] == 200
    assert "cnflow.pieces" not in whole.attributes


def test_call_without_a_context_begins_a_trace_of_its_own():
    numbers = random.Random(1)
    first, second = spans_of(ANSWERED, numbers)[-1], spans_of(ANSWERED, numbers)[-1]
    assert first.parent is second.parent is None
    assert 0 < first.trace != second.trace > 0


def test_failed_call_has_its_error_and_no_span_of_a_worker_that_did_not_answer():
    record = ANSWERED._replace(code="timeout", status=504, error="No answer", compute_seconds=0.0)
    (whole,) = spans_of(record, random.Random(1))
    assert whole.error == "No answer"
    assert whole.problem is not None
    assert whole.problem.type_name == "timeout"


def test_clock_that_was_set_back_makes_no_span_that_ends_before_its_start():
    for span in spans_of(ANSWERED._replace(ended=99.0), random.Random(1)):
        assert span.end >= span.start


@pytest.mark.parametrize(
    "text",
    ["", "00", f"00-{TRACE}-{SPAN}", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-x-01"],
)
def test_context_that_is_none_is_ignored(text):
    assert parse_traceparent(text) is None


@pytest.mark.parametrize(
    ("flags", "share", "status", "is_traced"),
    [
        ("01", 0.0, 200, True),
        ("00", 1.0, 500, False),
        ("", 1.0, 200, True),
        ("", 0.0, 200, False),
        ("", 0.0, 503, True),
        ("", 0.0, 422, False),
    ],
)
def test_callers_flag_goes_before_the_share_and_failures_are_traced(flags, share, status, is_traced):
    traces = RequestTraces(lambda _: None, share, random.Random(1))
    context = f"00-{TRACE}-{SPAN}-{flags}" if flags else ""
    assert traces.wants(context, status) is is_traced


def test_share_of_the_calls_without_a_context_is_traced():
    traces = RequestTraces(lambda _: None, 0.1, random.Random(1))
    assert 60 < sum(traces.wants("", 200) for _ in range(1000)) < 140


def test_header_is_made_of_the_numbers_and_not_of_the_callers_text():
    text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert parse_traceparent(text).header == text
    assert parse_traceparent("00- 1_0-0X1-00-what else").header == f"00-{16:032x}-{1:016x}-00"

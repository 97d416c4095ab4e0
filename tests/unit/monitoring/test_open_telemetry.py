import pytest

import cnflow
from cnflow.config import Config, OpenTelemetrySink
from cnflow.model.events import FailureEvent, RunEvent, SubmittedEvent, TaskEvent
from cnflow.monitoring.sinks.open_telemetry.ids import run_span, task_span, task_variables, trace_id, try_span
from cnflow.monitoring.sinks.open_telemetry.spans import SpanMaker

RUN = "4f2a90b1c3d7"


def begun(time=1.0):
    return RunEvent(time=time, run=RUN, state="running", name="digits", host="laptop", pid=7)


def submitted(task, time=2.0, **values):
    return SubmittedEvent(time=time, task=task, app="fit", executor="htex", **values)


def changed(task, state, time, **values):
    return TaskEvent(time=time, task=task, state=state, app="fit", executor="htex", **values)


def failed(task, attempt, time, **values):
    return FailureEvent(time=time, task=task, attempt=attempt, error_type="ValueError", message="no rows", **values)


def test_task_has_a_span_and_its_try_a_span_below():
    maker = SpanMaker()
    assert maker.spans_of([begun(), submitted(3, arguments="x=1"), changed(3, "launched", 2.5)]) == []
    place = {"block": "b0", "host": "n17", "started": 3.0, "ended": 4.0}
    tried, whole = maker.spans_of([changed(3, "done", 4.5, **place)])
    assert (whole.name, whole.start, whole.end, whole.parent) == ("fit", 2.0, 4.5, run_span(RUN))
    assert whole.attributes["cnflow.task"] == 3
    assert whole.attributes["cnflow.arguments"] == "x=1"
    assert (tried.name, tried.start, tried.end, tried.parent) == ("fit try 0", 3.0, 4.0, task_span(RUN, 3))
    assert tried.attributes["host.name"] == "n17"
    assert {tried.trace, whole.trace} == {trace_id(RUN)}
    assert (tried.error, whole.error) == ("", "")


def test_each_try_that_failed_has_a_span_with_its_exception():
    maker = SpanMaker()
    maker.spans_of([begun(), submitted(3), changed(3, "launched", 2.5)])
    (first,) = maker.spans_of([failed(3, 0, 4.0, is_retried=True, signal="OOM", traceback="Traceback")])
    assert (first.id, first.start, first.end, first.error) == (try_span(RUN, 3, 0), 2.5, 4.0, "no rows")
    assert first.problem == ("ValueError", "no rows", "Traceback")
    assert first.attributes["process.exit.signal"] == "OOM"
    again = [changed(3, "launched", 4.1, attempt=1), failed(3, 1, 5.0, exit_code=1)]
    spans = maker.spans_of([*again, changed(3, "failed", 5.1, attempt=1, reason="ValueError: no rows")])
    assert [span.name for span in spans] == ["fit try 1", "fit"]
    assert spans[0].attributes["process.exit.code"] == 1
    assert spans[1].error == "ValueError: no rows"


def test_task_links_to_the_tasks_that_it_needs():
    maker = SpanMaker()
    events = [begun(), submitted(1), submitted(5, depends=(1, 2)), changed(5, "dependency_failed", 3.0, reason="no")]
    (span,) = maker.spans_of(events)
    assert span.links == [task_span(RUN, 1), task_span(RUN, 2)]
    assert span.error == "no"


def test_memoized_task_has_no_try():
    maker = SpanMaker()
    events = [begun(), submitted(1), changed(1, "launched", 2.1), changed(1, "done", 2.2, is_memoized=True)]
    (span,) = maker.spans_of(events)
    assert span.attributes["cnflow.is_memoized"] is True


def test_cancelled_task_is_not_an_error():
    maker = SpanMaker()
    spans = maker.spans_of([begun(), submitted(1), changed(1, "launched", 2.1), changed(1, "cancelled", 2.2)])
    assert [(span.name, span.error) for span in spans] == [("fit try 0", ""), ("fit", "")]


def test_run_is_the_root_with_the_counts_of_the_driver():
    maker = SpanMaker()
    maker.spans_of([begun()])
    (root,) = maker.spans_of([RunEvent(time=9.0, run=RUN, state="ended", tasks=4, done=3, failed=1, cancelled=0)])
    assert (root.name, root.parent, root.start, root.end) == ("run digits", None, 1.0, 9.0)
    assert root.attributes["cnflow.tasks.failed"] == 1


def test_end_of_a_span_is_not_before_its_start():
    maker = SpanMaker()
    events = [begun(), submitted(1), changed(1, "launched", 2.1), changed(1, "done", 3.0, started=8.0, ended=7.0)]
    assert all(span.end >= span.start for span in maker.spans_of(events))


def test_events_of_unknown_tasks_are_left_out():
    maker = SpanMaker()
    assert maker.spans_of([begun(), changed(9, "done", 3.0), failed(9, 0, 3.0)]) == []


def test_variable_of_a_task_names_trace_and_span():
    assert task_variables(RUN, 3) == {"TRACEPARENT": f"00-{trace_id(RUN):032x}-{task_span(RUN, 3):016x}-01"}
    assert len({task_span(RUN, n) for n in range(1000)} | {try_span(RUN, n, 0) for n in range(1000)}) == 2000


@cnflow.python_app
def traceparent():
    import os

    return os.environ.get("TRACEPARENT")


@pytest.mark.parametrize("propagate", [True, False])
def test_task_in_a_worker_has_the_context_of_its_span(tmp_path, propagate, monkeypatch):
    # Nobody listens there: the SDK's thread would try again, at random times, while later tests run.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1")
    sinks = [OpenTelemetrySink(endpoint="http://127.0.0.1:9/v1/traces", propagate=propagate)]
    executor = cnflow.config.HighThroughputExecutor(max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path), sinks=sinks)) as dfk:
        future = traceparent()
        own = traceparent.options(env={"TRACEPARENT": "mine"})()
        run = str(dfk.run_id) if hasattr(dfk, "run_id") else ""
        value = future.result(60)
        assert own.result(60) == "mine"
    if not propagate:
        assert value is None
    else:
        version, trace, span, flags = value.split("-")
        assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
        assert not run or value == task_variables(run, future.tid)["TRACEPARENT"]

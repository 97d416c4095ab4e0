"""Events on their way through the driver: in order, in batches, bounded; a sink that fails or waits harms nobody."""

import json
import threading
import time

import pytest

from cnflow.config import JsonLinesSink
from cnflow.model.events import DroppedEvents, ResourceSample, SampleBatch, TaskEvent
from cnflow.monitoring.hub import BATCH, EventHub
from cnflow.monitoring.sinks.json_lines import JsonLines


def event(number):
    return TaskEvent(time=float(number), task=number, state="done", app="f", executor="htex")


class Listed:
    def __init__(self, gate=None, error=None):
        self.batches, self.gate, self.error, self.closed = [], gate, error, 0
        self.thread = None

    def write(self, events):
        self.batches.append(list(events))
        self.thread = threading.current_thread()
        if self.gate is not None:
            assert self.gate.wait(20)
        if self.error is not None:
            raise self.error

    def close(self):
        self.closed += 1

    @property
    def events(self):
        return [each for batch in self.batches for each in batch]


def test_sinks_get_all_events_in_order_from_one_thread_of_its_own():
    sinks = [Listed(), Listed()]
    hub = EventHub(sinks)
    hub.start()
    for number in range(3 * BATCH):
        hub.emit(event(number))
    hub.close()
    hub.close()
    for sink in sinks:
        assert [each.task for each in sink.events] == list(range(3 * BATCH))
        assert max(map(len, sink.batches)) <= BATCH
        assert sink.thread.name == "cnflow-events"
        assert sink.closed == 1


def sample(number):
    return ResourceSample(time=1.0, executor="htex", block="0", manager="m", worker=0, task=number)


def test_flood_of_samples_is_dropped_and_counted_and_nobody_waits():
    gate = threading.Event()
    sink = Listed(gate)
    hub = EventHub([sink], limit=2 * BATCH)
    hub.start()
    for number in range(10 * BATCH):
        hub.emit(sample(number))
    gate.set()
    hub.close()
    dropped = [each for each in sink.events if isinstance(each, DroppedEvents)]
    arrived = [each.task for each in sink.events if isinstance(each, ResourceSample)]
    assert {each.source for each in dropped} == {"driver"}
    assert len(arrived) + sum(each.count for each in dropped) == 10 * BATCH
    assert arrived == sorted(arrived)
    assert sum(each.count for each in dropped) >= 7 * BATCH


def test_packed_samples_are_dropped_too_and_counted_one_by_one():
    hub = EventHub([sink := Listed()], limit=1)
    hub.emit(event(1))
    place = {"executor": "htex", "block": "0", "manager": "m", "host": "n1"}
    hub.emit(SampleBatch(time=1.0, count=40, packed=b"", **place))
    hub.emit(sample(1))
    hub.close()
    assert [each.count for each in sink.events if isinstance(each, DroppedEvents)] == [41]
    assert not [each for each in sink.events if isinstance(each, SampleBatch)]


def test_states_are_never_dropped_however_slow_a_sink_is(caplog):
    gate = threading.Event()
    sink = Listed(gate)
    hub = EventHub([sink], limit=BATCH)
    hub.start()
    for number in range(10 * BATCH):
        hub.emit(event(number))
    hub.emit(sample(1))
    gate.set()
    hub.close()
    assert [each.task for each in sink.events if isinstance(each, TaskEvent)] == list(range(10 * BATCH))
    assert sum(each.count for each in sink.events if isinstance(each, DroppedEvents)) == 1
    assert f"{BATCH} events wait for the sinks" in caplog.text


def test_row_that_cannot_be_packed_does_not_end_the_thread(caplog):
    hub = EventHub([sink := Listed()])
    hub.start()
    hub.add_row((1.0, 1))
    while "cannot be packed" not in caplog.text:
        time.sleep(0.01)
    hub.emit(event(2))
    hub.close()
    assert [each.task for each in sink.events] == [2]


def test_last_event_of_a_run_is_made_at_its_end_and_once():
    sink = Listed()
    hub = EventHub([sink])
    hub.start()
    hub.last_event = lambda: event(7)
    hub.emit(event(1))
    hub.close()
    hub.close()
    assert [each.task for each in sink.events] == [1, 7]


def test_error_of_a_sink_is_logged_and_the_others_get_the_events(caplog):
    broken, sink = Listed(error=OSError("full")), Listed()
    hub = EventHub([broken, sink])
    hub.start()
    hub.emit(event(1))
    hub.close()
    assert [each.task for each in sink.events] == [1]
    assert "Listed lost 1 events" in caplog.text


def test_hub_that_never_started_writes_and_closes():
    sink = Listed()
    hub = EventHub([sink])
    hub.emit(event(1))
    hub.close()
    assert ([each.task for each in sink.events], sink.closed) == ([1], 1)


def test_events_before_the_start_of_the_run_are_kept():
    sink = Listed()
    hub = EventHub([sink])
    hub.emit(event(1))
    hub.start()
    hub.close()
    assert [each.task for each in sink.events] == [1]


@pytest.mark.parametrize("path", ["events.jsonl", "absolute"])
def test_json_lines_are_appended_one_object_a_line(tmp_path, path):
    file = tmp_path / "here" if path == "absolute" else tmp_path / path
    settings = JsonLinesSink(path=str(file) if path == "absolute" else path)
    for number in range(2):
        sink = JsonLines(settings, tmp_path)
        sink.write([event(number), DroppedEvents(time=1.0, count=3, source="driver")])
        sink.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0] == {"kind": "task", "time": 0.0, "task": 0, "state": "done", "app": "f", "executor": "htex"}
    assert lines[1] == {"kind": "dropped", "time": 1.0, "count": 3, "source": "driver"}
    assert len(lines) == 4


def test_sink_that_hangs_does_not_hang_the_end_of_a_run(monkeypatch, caplog):
    monkeypatch.setattr("cnflow.monitoring.hub.CLOSE_TIMEOUT", 0.05)
    gate = threading.Event()
    hub = EventHub([Listed(gate)])
    hub.start()
    hub.emit(event(0))
    hub.close()
    assert "a sink (Listed) did not finish" in caplog.text
    gate.set()

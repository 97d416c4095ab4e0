"""Batches of a worker: calls whose surroundings cannot be made fail alone."""

import os
import sys

import pytest

from cnflow.model.task import RunOptions
from cnflow.tasks import loaded_models
from cnflow.tasks.environment import call_with_options
from cnflow.tasks.models import Model, RowForm
from cnflow.wire import serialization
from cnflow.wire.batch_records import pack_batch
from cnflow.wire.pipe import Reader, ResultKind
from cnflow.worker import interruption
from cnflow.worker.batches import answer_batch, unload_model
from cnflow.worker.interruption import Guard


@pytest.fixture
def guard(monkeypatch):
    """A guard without signals; pytest-timeout uses the real alarm."""
    monkeypatch.setattr(interruption.signal, "signal", lambda *_: None)
    monkeypatch.setattr(interruption.signal, "setitimer", lambda *_: None)
    reading, writing = os.pipe()
    yield Guard(reading)
    os.close(writing)
    os.close(reading)


def colour(rows):
    return [os.environ.get("COLOUR") for _ in rows]


def record_of(calls):
    bodies = []
    for task, row, options in calls:
        arguments = (int(RowForm.ROW), row), {}
        value = (*arguments, tuple(options)) if options else arguments
        bodies.append((task, [serialization.dump(value).body]))
    [record] = Reader().feed(b"".join(bytes(part) for part in pack_batch(b"f", 0.0, bodies)))
    return record


def test_variables_that_cannot_be_set_fail_their_calls_alone(guard, tmp_path):
    calls = [(1, "a", None), (2, "b", RunOptions(env={"COL\0OUR": "x"})), (3, "c", RunOptions(env={"COLOUR": "red"}))]

    def call(each):
        return call_with_options(each, guard, str(tmp_path / "s"))

    answers = answer_batch(record_of(calls), "colour", lambda: Model(target=colour), guard, call)
    ends = [record for parts in answers for record in Reader().feed(b"".join(bytes(part) for part in parts))]
    assert [(end.id, ResultKind(end.type)) for end in ends] == [
        (1, ResultKind.VALUE),
        (2, ResultKind.RAISED),
        (3, ResultKind.VALUE),
    ]
    assert [serialization.load(end.parts[1]) for end in (ends[0], ends[2])] == [None, "red"]


ENDS = []


class Ended:
    def predict(self, rows):
        return rows

    def teardown(self):
        ENDS.append("ended")


def test_model_that_is_unloaded_is_torn_down_and_loaded_anew():
    ENDS.clear()
    model = Model(target=Ended)
    unload_model(model, [])
    assert ENDS == [], "it was not loaded"
    model.load()
    unload_model(model, [Model(target=Ended)])
    assert ENDS == ["ended"]
    assert model(int(RowForm.VALUES), [1]) == [1]
    unload_model(model, [])
    assert ENDS == ["ended"] * 2


def test_module_of_two_models_is_torn_down_with_the_last_one(tmp_path, monkeypatch):
    (tmp_path / "shared_model.py").write_text(
        "ends = []\ndef predict(rows): return rows\ndef other(rows): return rows\ndef teardown(): ends.append(1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    first, second = Model("shared_model"), Model("shared_model", "other")
    first.load()
    second.load()
    ends = sys.modules["shared_model"].ends
    unload_model(first, [second])
    assert ends == []
    unload_model(second, [])
    assert ends == [1]
    loaded_models.unload_all()
    assert ends == [1], "the end of the process tears it down once more"
    unload_model(None, [])
    monkeypatch.delitem(sys.modules, "shared_model")

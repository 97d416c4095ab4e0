"""`cnflow.model_app` in worker processes and threads: the user's own classes and functions, loaded once."""

import functools
import importlib
import os
import time

import pytest

import cnflow
from cnflow import Config, model_app, predict_app, python_app
from cnflow.errors import ConfigurationError, InvalidRowsError, PredictModuleError, WorkerLost
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

MODULE = """
from cnflow import model_app

FACTOR = 3

@model_app(cache=True, executors="workers")
class Triple:
    def setup(self):
        self.factor = FACTOR

    def predict(self, rows):
        return [self.factor * row for row in rows]

@model_app(executors="workers")
def minus(rows):
    return [-row for row in same(rows)]

def same(rows):
    return rows
"""

in_workers = functools.partial(model_app, executors="workers")


@in_workers()
class Scale:
    """Multiplies."""

    def __init__(self, factor=2):
        self.factor = factor
        self.setups = 0

    def setup(self):
        self.setups += 1

    def predict(self, rows, offset=0):
        return [(self.factor * row + offset, self.setups) for row in rows]

    def stream(self, row):
        for number in range(row):
            yield number * self.factor


@in_workers()
def shout(rows):
    return [row.upper() for row in rows]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with threads and one worker."""
    folder = tmp_path_factory.mktemp("run")
    executors = [HighThroughputExecutor(label="workers", max_workers=1), ThreadPoolExecutor(max_threads=4)]
    with cnflow.load(Config(executors=executors, run_dir=str(folder))):
        yield folder


def test_class_is_constructed_and_set_up_once(run):
    futures = [Scale([n, n + 1]) for n in range(20)]
    assert [future.result(60) for future in futures] == [[(2 * n, 1), (2 * n + 2, 1)] for n in range(20)]


def test_bound_arguments_make_another_model(run):
    triple = Scale.bind(3)
    assert triple([1]).result(60) == [(3, 1)]
    assert Scale.bind(factor=5)([1]).result(60) == [(5, 1)]
    assert Scale([1]).result(60) == [(2, 1)]


def test_function_is_a_model(run):
    assert shout(["a", "b"]).result(60) == ["A", "B"]


def test_row_that_the_model_refuses_fails_alone(run):
    futures = shout.map(["a", 7, "c"])
    assert [futures[n].result(60) for n in (0, 2)] == ["A", "C"]
    assert isinstance(futures[1].exception(60), AttributeError)


def test_map_in_chunks_gives_lists(run):
    assert [future.result(60) for future in shout.map("abcde", chunk=2)] == [["A", "B"], ["C", "D"], ["E"]]


def test_keywords_of_a_call_are_those_of_predict(run):
    assert Scale([1], offset=10).result(60) == [(12, 1)]


def test_unknown_keyword_is_refused_by_name(run):
    error = Scale([1], ofset=10).exception(60)
    assert isinstance(error, InvalidRowsError)
    assert "ofset" in str(error)


def test_app_of_a_model_is_the_model_inside_a_task(run):
    @python_app(executors="workers")
    def use():
        return shout(["x"]), shout.map(["y", "z"]), list(Scale.stream(3)), os.getpid() > 0

    assert use().result(60) == (["X"], ["Y", "Z"], [0, 2, 4], True)


def test_model_runs_in_threads(run):
    local = Scale.options(executors="threads")
    assert local([4]).result(60) == [(8, 1)]
    assert [future.result(60) for future in local.map([1, 2])] == [(2, 1), (4, 1)]


def test_future_of_rows_is_waited_for(run):
    assert shout(shout(["a"])).result(60) == ["A"]


def test_pieces_of_a_stream_come_one_by_one(run):
    assert list(Scale.stream(4)) == [0, 2, 4, 6]


def test_stream_that_is_closed_leaves_the_worker(run):
    pieces = Scale.stream(10**9)
    assert next(pieces) == 0
    pieces.close()
    assert Scale([1]).result(60) == [(2, 1)]


def test_model_without_stream_says_so(run):
    with pytest.raises(PredictModuleError, match=r"shout has no stream\(row\)"):
        list(shout.stream("a"))


def test_prepared_model_is_described(run):
    described = Scale.prepare().result(60)
    assert (described.name, described.methods) == ("Scale", ["predict", "stream", "setup"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: model_app(str.__class__("Empty", (), {})), "no method predict"),
        (lambda: model_app("app1"), r"write predict_app\(module='app1'\)"),
        (lambda: model_app(3), "for a class or a function, not for 3"),
        (lambda: model_app(max_batch=0)(print), "max_batch=...\\) must be a number of rows from 1 on, not 0"),
        (lambda: predict_app(module="app1", max_wait=-1), "max_wait"),
        (lambda: Scale.options(latency_target=float("nan")), "latency_target"),
        (lambda: Scale.bind(1, 2, 3), r"too many positional arguments.*\.bind\("),
        (lambda: shout.bind(1), "keywords alone"),
        (lambda: Scale.options(max_bach=3), "has no option 'max_bach'"),
    ],
)
def test_wrong_models_and_options_are_refused_at_once(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_calls_that_wait_are_answered_by_one_predict(run):
    @in_workers(max_batch=16)
    def sizes(rows):
        time.sleep(0.2 if "first" in rows else 0)
        return [(row, len(rows)) for row in rows]

    first = sizes(["first"])
    futures = [sizes([number]) for number in range(32)]
    assert first.result(60)[0][0] == "first"
    answers = [future.result(60)[0] for future in futures]
    assert [number for number, _ in answers] == list(range(32))
    assert max(size for _, size in answers) > 1
    assert all(size <= 16 for _, size in answers)


def test_rows_that_are_kept_apart_are_in_no_batch_together(run):
    @in_workers(apart=lambda rows: len(rows[0]))
    def lengths(rows):
        time.sleep(0.05)
        return [sorted({len(row) for row in rows}) for _ in rows]

    futures = [lengths(["x" * (1 + number % 2)]) for number in range(20)]
    assert [future.result(60) for future in futures] == [[[1 + number % 2]] for number in range(20)]


def test_row_that_kills_its_worker_is_lost_alone(run):
    @in_workers(retries=0)
    def fragile(rows):
        time.sleep(0.1)
        if "kill" in rows:
            os.kill(os.getpid(), 9)
        return rows

    futures = fragile.map(["a", "b", "kill", "c", "d"])
    errors = [future.exception(60) for future in futures]
    assert [type(error) for error in errors] == [type(None), type(None), WorkerLost, type(None), type(None)]


def test_variables_of_an_app_are_those_of_its_batches(run):
    @in_workers(env={"COLOUR": "red"})
    def colours(rows):
        return [os.environ.get("COLOUR") for _ in rows]

    assert [future.result(60) for future in colours.map(range(5))] == ["red"] * 5
    assert shout(["a"]).result(60) == ["A"]


def test_models_of_a_module_of_the_user_travel_with_it(run, tmp_path, monkeypatch):
    (tmp_path / "models_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = importlib.import_module("models_of_mine")

    @python_app(executors="workers")
    def use(rows):
        import models_of_mine

        return models_of_mine.minus(rows), models_of_mine.Triple(rows)

    assert mine.minus([1]).result(60) == [-1]
    assert mine.Triple([1]).result(60) == mine.Triple([1]).result(60) == [3]
    assert use([5]).result(60) == ([-5], [15])

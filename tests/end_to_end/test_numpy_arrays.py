"""Arrays of NumPy as arguments, results, globals and in cache keys, in threads and in worker processes."""

import numpy as np
import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

TABLE = np.zeros(1000)


@python_app
def total(array):
    return float(array.sum())


@python_app
def add_one(array):
    array += 1
    return array


@python_app
def of_table():
    return float(TABLE.sum())


@python_app(cache=True)
def kind_of(array):
    return str(array.dtype), array.shape, float(array.sum())


@pytest.fixture(scope="module", params=["threads", "processes"], autouse=True)
def run(request, tmp_path_factory):
    executor = (
        ThreadPoolExecutor(max_threads=2) if request.param == "threads" else HighThroughputExecutor(max_workers=2)
    )
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path_factory.mktemp("runs")))):
        yield


@pytest.mark.parametrize("size", [10, 100_000, 2_000_000])
def test_array_is_what_it_was_at_the_call(size):
    array = np.zeros(size)
    futures = []
    for number in range(8):
        array[:] = number
        futures.append(total(array))
    assert [future.result(60) for future in futures] == [number * size for number in range(8)]


def test_result_is_an_array_that_can_be_changed_and_is_nobody_elses():
    given = np.arange(200_000.0).reshape(400, 500)[::2, ::5]
    future = add_one(given)
    made = future.result(60)
    assert np.array_equal(made, given + 1)
    made += 1
    assert np.array_equal(given, np.arange(200_000.0).reshape(400, 500)[::2, ::5]), "the caller's is as it was"


def test_array_of_the_module_is_the_present_one():
    for number in range(3):
        TABLE[:] = number
        assert of_table().result(60) == 1000 * number


def test_keys_tell_arrays_apart():
    arrays = [np.ones(4), np.ones(4, np.float32), np.ones((2, 2)), np.ones(4) * 2, np.asfortranarray(np.ones((2, 2)))]
    for array in arrays:
        assert kind_of(array).result(60) == (str(array.dtype), array.shape, float(array.sum()))

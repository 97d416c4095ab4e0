"""Values by reference in a real run: `cnflow.put`, results that stay on their node, and their ends."""

import asyncio
import gc
import os
import re
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, join_app, python_app
from cnflow.config import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.errors import SerializationError
from cnflow.providers import LocalProvider

np = pytest.importorskip("numpy")
COUNT = 500_000  # of 8 bytes, more than travels within a message


def local(label, **options):
    provider = LocalProvider(init_blocks=1, max_blocks=1)
    return HighThroughputExecutor(label=label, max_workers=1, provider=provider, **options)


@pytest.fixture(scope="module")
def run():
    executors = [local("one"), local("two", keep_results_from=100_000), ThreadPoolExecutor(label="threads")]
    with cnflow.load(Config(executors=executors)) as dfk:
        yield dfk


@python_app(executors=["one"])
def total(array):
    return float(array.sum()), array.flags.writeable


@python_app(executors=["two"])
def total_on_two(array):
    return float(array.sum()), array.flags.writeable


@python_app(executors=["threads"])
def total_in_thread(array):
    return float(array.sum()), array.flags.writeable


@python_app(executors=["one"], keep_remote=True)
def ones(count=COUNT):
    import numpy as np

    return np.ones(count)


@pytest.fixture(scope="module")
def ref(run):
    return cnflow.put(np.ones(COUNT))


@pytest.mark.parametrize("app", [total, total_on_two, total_in_thread])
def test_put_array_is_a_read_only_view_in_each_task(ref, app):
    assert [future.result() for future in [app(ref), app(array=ref)]] == [(COUNT, False)] * 2


def test_large_reference_in_a_closure_is_refused_with_words(run):
    ref = cnflow.put(np.ones(COUNT))

    @python_app(executors=["one"])
    def closure():
        return ref.get().sum()

    with pytest.raises(SerializationError, match=r"Pass it to the app as an argument"):
        closure().result(30)


def test_representation_names_the_nodes_that_have_it(ref):
    total(ref).result()
    assert re.fullmatch(r"<Ref of 3\.8 MiB \(ndarray of float64\[500000\]\), in the driver.*>", repr(ref))


def test_kept_result_goes_to_the_next_task_without_the_driver(run):
    kept = ones()
    assert total(kept).result() == (COUNT, True)
    assert not kept._result.is_here()
    value = kept.result()
    assert value.flags.writeable
    assert value.sum() == COUNT
    assert kept.result() is value


@pytest.mark.parametrize("app", [total_on_two, total_in_thread])
def test_kept_result_comes_through_the_driver_where_another_executor_needs_it(run, app):
    kept = ones()
    assert app(kept).result() == (COUNT, True)
    assert kept._result.is_here()


def test_results_of_a_size_stay_without_a_keyword(run):
    @python_app(executors=["two"])
    def make(count):
        return bytes(count)

    small, large, asked = make(10), make(200_000), make(200_000, keep_remote=False)
    assert small.result() == bytes(10)
    assert asked.result() == bytes(200_000)
    wait([large])
    assert not large._result.is_here()
    assert large.result() == bytes(200_000)


def test_kept_result_in_coroutines_parts_callbacks_and_joins(run):
    @join_app
    def join(kept):
        return ones(1000)

    async def awaited(future):
        return (await future).sum()

    assert asyncio.run(awaited(ones(1000))) == 1000
    assert ones(1000)[5].result() == 1
    assert ones(1000).shape.result() == (1000,)
    assert join(ones(1000)).result().sum() == 1000
    seen = []
    future = ones(1000)
    future.add_done_callback(lambda done: seen.append(done.result().sum()))
    future.result()
    while run._graph.callbacks.drain():
        pass
    assert seen == [1000]


def test_dropped_values_leave_the_node(run):
    objects = Path(where().result())
    kept, held = ones(COUNT + 1), cnflow.put(np.full(COUNT, 3.0))  # contents that no other test has
    wait([total(kept), total(held)])
    before = set(objects.iterdir())
    del kept, held
    gc.collect()
    deadline = time.monotonic() + 10
    while len(set(objects.iterdir()) & before) > len(before) - 2 and time.monotonic() < deadline:
        where().result()
    assert len(before & set(objects.iterdir())) <= len(before) - 2


@python_app(executors=["one"])
def where():
    return os.environ.get("CNFLOW_AREA_MEMORY") or os.environ["CNFLOW_AREA"] + "/objects"

"""Values by reference in a task graph: `cnflow.put`, results that stay on their nodes, and lost ones."""

import asyncio
import gc
import pickle
from concurrent.futures import Future
from random import Random

import pytest

import cnflow
from cnflow.dataflow.call_options import AppOptions, CallOptions
from cnflow.dataflow.references.kept_result import KeptResult
from cnflow.errors import ConfigurationError, ItemLostError, NoDataFlowKernelError, SerializationError, StagingError
from cnflow.model.item import collect
from cnflow.model.task import AppFunction, AppKind, ArgumentUse, Outcome
from cnflow.tasks import area, values
from cnflow.testing.items import FakeItemStore
from cnflow.wire import serialization
from tests.unit.dataflow.conftest import Scripted

KEEP = CallOptions(keep_remote=True)
LARGE = 100_000


class Packing(Scripted):
    """Executor that pickles arguments as they are submitted, and whose node has an area."""

    argument_use = ArgumentUse.PACKED

    def __init__(self, root):
        super().__init__()
        self.items = FakeItemStore(root)
        self.packed = {}

    def submit(self, tasks):
        for task in tasks:
            with collect(self.items) as items:
                payload = serialization.dump_anything((task.args, task.kwargs), None, None)
            self.packed[task.id] = payload, list(items.values())
        super().submit(tasks)

    def run(self):
        batch, self.taken = self.taken, []
        outcomes = []
        for task in batch:
            payload, _ = self.packed[task.id]
            try:
                outcomes.append(self._outcome(task, *serialization.load(payload.body, payload.buffers)))
            except SerializationError as error:  # what a manager finds out before the task begins
                lost = ItemLostError(str(error))
                lost.key = self.packed[task.id][1][0].key
                outcomes.append(Outcome(task.id, None, lost))
            except Exception as error:
                outcomes.append(Outcome(task.id, None, error))
        self.report(outcomes)

    def _outcome(self, task, args, kwargs):
        value = task.app.function(*args, **kwargs)
        limit = task.options.keep_from
        words = values.leave(value, serialization.dump(value), limit) if limit is not None and limit >= 0 else None
        return Outcome(task.id, words or value, items=self.items.take_left())


@pytest.fixture
def executor(tmp_path, monkeypatch):
    packing = Packing(tmp_path / "area")
    monkeypatch.setenv(area.VARIABLE, packing.items.root)
    monkeypatch.delenv(area.MEMORY_VARIABLE, raising=False)
    return packing


def make(letter="a"):
    return bytearray(letter, "ascii") * LARGE


def size(value):
    return len(value)


calls = []


def make_noted(letter="a"):
    calls.append(letter)
    return make(letter)


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


# put


def test_reference_is_the_value_in_a_task_and_offered_once(make_dfk, executor):
    dfk = make_dfk()
    ref = cnflow.put(make())
    futures = [dfk.submit(AppFunction(size), (ref,), {}) for _ in range(3)]
    executor.run()
    assert [future.result(0) for future in futures] == [LARGE] * 3
    assert len(executor.items.held) == 1
    assert {len(items) for _, items in executor.packed.values()} == {1}


def test_reference_inside_containers_is_the_value(make_dfk, executor):
    dfk = make_dfk()
    ref = cnflow.put(make())
    future = dfk.submit(AppFunction(lambda box: len(box["deep"][0])), ({"deep": [ref]},), {})
    executor.run()
    assert future.result(0) == LARGE


def test_small_value_travels_with_the_arguments(make_dfk, executor):
    dfk = make_dfk()
    future = dfk.submit(AppFunction(size), (cnflow.put("abc"),), {})
    executor.run()
    assert future.result(0) == 3
    assert not executor.items.held


def test_deleted_reference_is_released(make_dfk, executor):
    dfk = make_dfk()
    ref = cnflow.put(make())
    dfk.submit(AppFunction(size), (ref,), {})
    executor.run()
    assert executor.items.held
    del ref
    executor.taken.clear()
    dfk.submit(AppFunction(size), ("",), {})
    gc.collect()
    assert not executor.items.held


def test_value_is_what_it_was_at_the_put():
    value = make()
    ref = cnflow.put(value)
    value[:] = b""
    assert ref.get() == make()
    assert asyncio.run(_awaited(ref)) == make()


async def _awaited(awaitable):
    return await awaitable


def test_representation_has_size_type_and_places(make_dfk, executor):
    ref = cnflow.put(make())
    assert repr(ref) == "<Ref of 97.8 KiB (bytearray), in the driver>"
    make_dfk().submit(AppFunction(size), (ref,), {})
    assert repr(ref) == "<Ref of 97.8 KiB (bytearray), in the driver>"


def test_reference_of_a_reference_is_itself():
    ref = cnflow.put(1)
    assert cnflow.put(ref) is ref


def test_unpicklable_value_is_refused_with_words():
    with pytest.raises(SerializationError, match=r"cnflow\.put: generator cannot be pickled"):
        cnflow.put(_ for _ in ())


def test_large_reference_outside_of_arguments_is_refused():
    with pytest.raises(SerializationError, match="Pass it to the app as an argument"):
        pickle.dumps(cnflow.put(make()))


def test_thread_is_given_the_value(make_dfk, executor):
    executor.argument_use = ArgumentUse.COPIED
    executor.submit = executor.taken.extend
    dfk = make_dfk()
    future = dfk.submit(AppFunction(size), ([cnflow.put(make())][0],), {})
    Scripted.run(executor)
    assert future.result(0) == LARGE


# Results that stay


def test_result_stays_until_it_is_asked_for(make_dfk, executor):
    dfk = make_dfk()
    future = dfk.submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    assert future.done()
    assert not executor.items.fetched
    assert future.result(0) == make()
    assert future.result(0) is future.result(0)
    assert len(executor.items.fetched) == 1


def test_kept_result_is_an_item_of_the_next_task(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(AppFunction(make), (), {}, call_options=KEEP)
    second = dfk.submit(AppFunction(size), (first,), {})
    executor.run()
    executor.run()
    assert second.result(0) == LARGE
    assert not executor.items.fetched


def test_awaited_result_is_fetched(make_dfk, executor):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    assert asyncio.run(_awaited(future)) == make()


def test_awaited_result_that_cannot_be_fetched_is_not_fetched_anew(make_dfk, executor, monkeypatch):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    fetches = []

    def fail(_, path):
        fetches.append(Future())
        fetches[-1].set_exception(StagingError("no room"))
        return fetches[-1]

    monkeypatch.setattr(KeptResult, "_open_near", lambda *_: False)
    monkeypatch.setattr(executor.items, "fetch", fail)
    with pytest.raises(StagingError, match="no room"):
        asyncio.run(_awaited(future))
    assert len(fetches) == 1


def test_part_of_a_kept_result(make_dfk, executor):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    part = future[0]
    executor.run()
    assert part.result(5) == ord("a")


def test_kept_result_is_asked_for_in_a_callback(make_dfk, executor):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    seen = Future()
    future.add_done_callback(lambda done: seen.set_result(len(done.result())))
    executor.run()
    assert seen.result(5) == LARGE


def test_dropped_future_releases_its_result(make_dfk, executor):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    assert executor.items.held
    del future
    executor.packed.clear()
    gc.collect()
    assert not executor.items.held


def test_kept_result_is_refused_in_a_forked_child(make_dfk, executor, monkeypatch):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: 1)
        with pytest.raises(NoDataFlowKernelError, match=r"Ask for its result\(\) before the fork"):
            future.result(0)
    assert future.result(0) == make()


def test_result_of_a_cached_app_stays_for_its_next_call(make_dfk, executor):
    dfk = make_dfk()
    app, cached = AppFunction(make), AppOptions(cache=True)
    first = dfk.submit(app, (), {}, cached, KEEP)
    executor.run()
    second = dfk.submit(app, (), {}, cached, KEEP)
    assert second.done()
    assert second.result(0) == first.result(0)


def test_result_whose_files_cannot_be_had_is_released_and_ends_no_other_task(make_dfk, executor):
    def refuse(_):
        raise StagingError("no room")

    dfk = make_dfk()
    first = dfk.submit(AppFunction(make), (), {}, call_options=KEEP)
    second = dfk.submit(AppFunction(make), (), {})
    first.task_record.on_items = refuse
    executor.run()
    with pytest.raises(StagingError, match="no room"):
        first.result(0)
    assert second.result(0) == make()
    assert not executor.items.held


# Lost results


def test_lost_result_is_made_again_when_it_is_asked_for(make_dfk, executor):
    future = make_dfk().submit(AppFunction(make_noted), (), {}, call_options=KEEP)
    executor.run()
    executor.items.lose(_kept(future).holding.item)
    fetched = _kept(future).fetch()
    assert not fetched.done()
    executor.run()
    assert future.result(0) == make()
    assert calls == ["a", "a"]


def test_task_that_needs_a_lost_result_is_launched_again_with_a_new_one(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(AppFunction(make_noted), (), {}, call_options=KEEP)
    executor.run()
    second = dfk.submit(AppFunction(size), (first,), {})
    executor.items.lose(_kept(first).holding.item)
    executor.run()  # the second finds it lost
    executor.run()  # the first, again
    executor.run()  # the second, again
    assert second.result(0) == LARGE
    assert calls == ["a", "a"]


def test_chain_of_lost_results_is_made_again(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(AppFunction(make_noted), (), {}, call_options=KEEP)
    second = dfk.submit(AppFunction(lambda value: value + b"b"), (first,), {}, call_options=KEEP)
    executor.run()
    executor.run()
    executor.items.lose(_kept(first).holding.item)
    executor.items.lose(_kept(second).holding.item)
    third = dfk.submit(AppFunction(size), (second,), {})
    for _ in range(5):
        executor.run()
    assert third.result(0) == LARGE + 1


def test_result_that_cannot_be_made_again_fails_its_users_with_what_was_lost(make_dfk, executor):
    dfk = make_dfk()
    outcomes = iter([make()])

    def once():
        return next(outcomes)

    first = dfk.submit(AppFunction(once), (), {}, call_options=KEEP)
    executor.run()
    executor.items.lose(_kept(first).holding.item)
    second = dfk.submit(AppFunction(size), (first,), {})
    executor.run()
    executor.run()
    message = str(second.exception(0))
    assert message.startswith("The result of Task 0 (once) (97.8 KiB, bytearray) was lost with its node")
    assert isinstance(second.exception(0), ItemLostError)
    with pytest.raises(ItemLostError, match="StopIteration"):
        _fetched(first, executor)


def test_task_that_waits_for_a_lost_result_is_cancelled(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    second = dfk.submit(AppFunction(size), (first,), {})
    executor.items.lose(_kept(first).holding.item)
    executor.run()
    assert second.cancel()
    assert second.cancelled()
    executor.run()
    assert not executor.taken


def test_reporting_thread_must_not_wait(make_dfk, executor, monkeypatch):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    executor.items.lose(_kept(future).holding.item)
    monkeypatch.setattr("threading.current_thread", lambda: type("Thread", (), {"name": "cnflow-htex-client"}))
    with pytest.raises(ConfigurationError, match="Ask for it in the script"):
        future.result(0)


def test_join_app_fails_with_the_error_of_a_result_that_cannot_be_had(make_dfk, executor):
    dfk = make_dfk()
    outcomes = iter([make()])

    def once():
        return next(outcomes)

    first = dfk.submit(AppFunction(once), (), {}, call_options=KEEP)
    executor.run()
    executor.items.lose(_kept(first).holding.item)
    joined = dfk.submit(AppFunction(lambda: [first], kind=AppKind.JOIN), (), {})
    executor.run()
    with pytest.raises(ItemLostError, match=r"Task 0 \(once\).*could not be made again: StopIteration"):
        joined.result(0)


def _kept(future):
    assert isinstance(future._result, KeptResult)
    return future._result


def _fetched(future, executor):
    fetched = _kept(future).fetch()
    executor.run()
    return fetched.result(0)


# Several executors


def test_kept_result_is_fetched_before_a_task_of_another_executor_is_launched(make_dfk, executor, tmp_path):
    dfk = make_dfk()
    first = dfk.submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    executor.items = FakeItemStore(tmp_path / "other")  # as if the next task went to another executor
    second = dfk.submit(AppFunction(size), (first,), {})
    executor.run()
    assert second.result(0) == LARGE
    assert _kept(first).is_here()


def test_reference_is_offered_to_each_executor_once(make_dfk, executor, tmp_path):
    ref = cnflow.put(make())
    stores = [FakeItemStore(tmp_path / "1"), FakeItemStore(tmp_path / "2")]
    for store in (*stores, *stores):
        with collect(store) as items:
            serialization.dump_anything(ref, None, None)
        assert len(items) == 1
    assert [len(store.held) for store in stores] == [1, 1]
    del ref
    assert [len(store.held) for store in stores] == [0, 0]


def test_representation_of_a_future_whose_result_stays(make_dfk, executor):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    assert repr(future).endswith("; 97.8 KiB, bytearray, host1>")
    future.result(0)
    assert repr(future).endswith("; 97.8 KiB, bytearray, the driver>") or repr(future).endswith("host1, the driver>")


class Unloadable:
    def __reduce__(self):
        return _fail_to_load, (bytes(LARGE),)


def _fail_to_load(_):
    raise RuntimeError("not here")


def test_kept_result_that_cannot_be_loaded_says_what_to_do(make_dfk, executor):
    future = make_dfk().submit(AppFunction(Unloadable), (), {}, call_options=KEEP)
    executor.run()
    for _ in range(2):
        with pytest.raises(SerializationError, match=r"Task 0 \(Unloadable\) cannot be loaded in .*not here"):
            future.result(0)


@pytest.mark.parametrize("is_near", [False, True])
def test_kept_result_that_could_not_be_loaded_is_loaded_later(make_dfk, executor, monkeypatch, is_near):
    future = make_dfk().submit(AppFunction(Unloadable), (), {}, call_options=KEEP)
    executor.run()
    if not is_near:
        monkeypatch.setattr(KeptResult, "_open_near", lambda *_: False)
    with pytest.raises(SerializationError):
        future.result(0)
    monkeypatch.setitem(globals(), "_fail_to_load", len)
    assert future.result(0) == LARGE


def test_damaged_value_is_refused(make_dfk, executor):
    dfk = make_dfk()
    future = dfk.submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    executor.items._object(_kept(future).holding.item).write_bytes(b"damaged")
    with pytest.raises(SerializationError, match="no value that cnflow has written"):
        future.result(0)


def test_result_asked_for_with_a_timeout(make_dfk, executor):
    future = make_dfk().submit(AppFunction(make_noted), (), {}, call_options=KEEP)
    executor.run()
    executor.items.lose(_kept(future).holding.item)
    with pytest.raises(TimeoutError):
        future.result(0)
    executor.run()
    assert future.result(0) == make()


def test_result_is_made_again_a_few_times_and_no_more(make_dfk, executor):
    future = make_dfk().submit(AppFunction(make), (), {}, call_options=KEEP)
    executor.run()
    for _ in range(3):
        executor.items.lose(_kept(future).holding.item)
        remade = _kept(future).remake()
        executor.run()
        remade.result(0)
    executor.items.lose(_kept(future).holding.item)
    with pytest.raises(ItemLostError, match="made again 3 times already"):
        future.result(0)


def add(padding, *parts):
    return [1 + sum(part[0] for part in parts), padding]


@pytest.mark.parametrize("seed", range(10))
def test_graph_of_kept_results_has_its_values_whatever_is_lost(make_dfk, executor, seed):
    random = Random(seed)
    dfk, padding = make_dfk(), bytes(LARGE)
    futures, expected = [], []
    for number in range(8):
        parts = random.sample(range(number), random.randint(0, min(number, 2)))
        args = (padding, *(futures[part] for part in parts))
        futures.append(dfk.submit(AppFunction(add), args, {}, call_options=random.choice([KEEP, KEEP, CallOptions()])))
        expected.append(1 + sum(expected[part] for part in parts))
    losses = 3  # no result is made again more often than that
    while not all(future.done() for future in futures):
        executor.run()
        kept = [future for future in futures if future.done() and isinstance(future._result, KeptResult)]
        if losses and kept and random.random() < 0.5:
            losses -= 1
            executor.items.lose(_kept(random.choice(kept)).holding.item)
    for future, value in zip(futures, expected, strict=True):
        if isinstance(future._result, KeptResult):
            fetched = future._result.fetch()
            for _ in range(20):
                executor.run()
            fetched.result(0)
        assert future.result(0)[0] == value

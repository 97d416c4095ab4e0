"""The run as the user holds it: tasks, records, executors, end, log."""

import logging
import threading
import time
from concurrent.futures import Future

import pytest

import cnflow
from cnflow.config import Config, ThreadPoolExecutor
from cnflow.dataflow.call_options import AppOptions
from cnflow.dataflow.task_record import FIELDS
from cnflow.errors import ConfigurationError, ExecutorClosedError, ManagerLost, UnknownNameError
from cnflow.model.task import AppFunction, AppKind, Outcome, TaskState


def add(a, b=0):
    return a + b


def fail():
    raise ValueError("boom")


class TestTasks:
    def test_hold_unfinished_tasks(self, make_dfk, executor):
        dfk = make_dfk()
        first = dfk.submit(AppFunction(add), (1,), {})
        second = dfk.submit(AppFunction(add), (first,), {})
        assert list(dfk.tasks) == [0, 1]
        assert dfk.tasks[second.tid]["app_fu"] is second
        executor.run()
        assert list(dfk.tasks) == [1]
        assert first.tid not in dfk.tasks
        with pytest.raises(KeyError, match="Task 0 is not among the 1 tasks"):
            dfk.tasks[first.tid]

    def test_hold_all_tasks_without_garbage_collection(self, make_dfk, executor):
        dfk = make_dfk(garbage_collect=False)
        first = dfk.submit(AppFunction(add), (1,), {})
        failed = dfk.submit(AppFunction(fail), (), {})
        executor.run()
        waiting = dfk.submit(AppFunction(add), (Future(),), {})
        assert [dfk.tasks[task].app_fu for task in dfk.tasks] == [first, failed, waiting]
        assert [record.status.name for record in dfk.tasks.values()] == ["DONE", "FAILED", "WAITING"]
        assert repr(dfk.tasks) == "<1 unfinished tasks, 2 finished ones>"

    def test_may_change_during_iteration(self, make_dfk, executor):
        dfk = make_dfk()
        for n in range(3):
            dfk.submit(AppFunction(add), (n,), {})
        for _ in dfk.tasks:
            executor.run()
            dfk.submit(AppFunction(add), (1,), {})
        assert len(dfk.tasks) == 1


class TestRecord:
    def test_has_parsls_fields_by_attribute_and_by_name(self, make_dfk):
        dfk = make_dfk()
        parent, app = Future(), AppFunction(add)
        future = dfk.submit(app, (parent,), {"b": 2}, AppOptions(cache=True, ignore_for_cache=["b"]))
        record = dfk.tasks[future.tid]
        expected = {
            "app_fu": future,
            "args": (parent,),
            "depends": [parent],
            "executor": "scripted",
            "fail_cost": 0.0,
            "fail_count": 0,
            "fail_history": [],
            "func": add,
            "func_name": "add",
            "hashsum": None,
            "id": 0,
            "ignore_for_cache": ["b"],
            "join": False,
            "kwargs": {"b": 2},
            "memoize": True,
            "status": TaskState.WAITING,
            "try_id": 0,
        }
        assert dict(record) == expected
        assert {name: getattr(record, name) for name in FIELDS} == expected
        assert record.get("func_name") == "add"
        assert record.get("no_such") is None
        assert ("id" in record, "no_such" in record) == (True, False)
        parent.set_result(1)
        assert len(bytes.fromhex(record["hashsum"])) == 32

    def test_of_a_future_is_that_of_dfk_tasks_and_keeps_its_app_when_finished(self, make_dfk, executor):
        dfk = make_dfk()
        future = dfk.submit(AppFunction(add), (1,), {})
        assert future.task_record is dfk.tasks[future.tid]
        assert future["part"].task_record is dfk.tasks[future.tid]
        executor.run()
        record = future.task_record
        assert (record["id"], record["func"], record["status"]) == (0, add, TaskState.DONE)
        assert record["app_fu"] is future

    def test_of_another_run_is_not_taken_for_this_runs(self, make_dfk, executor):
        earlier = make_dfk().submit(AppFunction(add), (1,), {})
        executor.run()
        dfk = make_dfk()
        dfk.submit(AppFunction(fail), (), {})
        assert earlier.task_record.func is add

    def test_of_a_join_app_has_join_true(self, make_dfk):
        dfk = make_dfk()
        inner = Future()
        future = dfk.submit(AppFunction(lambda: inner, AppKind.JOIN), (), {})
        assert dfk.tasks[future.tid]["join"] is True
        assert dfk.tasks[future.tid].executor == "_join"

    def test_offers_the_nearest_field_for_a_misspelt_one(self, make_dfk):
        dfk = make_dfk()
        record = dfk.tasks[dfk.submit(AppFunction(add), (1,), {}).tid]
        with pytest.raises(KeyError, match=r"no field 'fail_cuont'. Did you mean 'fail_count'\?"):
            record["fail_cuont"]

    def test_counts_attempts_and_their_cost(self, make_dfk, executor):
        seen = []

        def handler(error, task):
            seen.append((task["fail_count"], task.fail_cost, task["try_id"], task["fail_history"][-1]))
            return 0.5

        dfk = make_dfk(retries=1, retry_handler=handler)
        future = dfk.submit(AppFunction(fail), (), {})
        tries = []
        while not future.done():
            tries.append(dfk.tasks[future.tid].try_id)
            executor.run()
        assert tries == [0, 1, 2]
        assert seen == [(n + 1, n / 2, n, "ValueError: boom") for n in range(3)]

    def test_counts_a_lost_attempt(self, make_dfk, executor):
        dfk = make_dfk()
        future = dfk.submit(AppFunction(add), (1,), {})
        executor.report([Outcome(executor.taken.pop().id, None, ManagerLost("gone"))])
        assert (dfk.tasks[future.tid].fail_count, dfk.tasks[future.tid].try_id) == (1, 1)


class TestExecutors:
    @pytest.fixture
    def dfk(self, tmp_path):
        executors = [ThreadPoolExecutor(label="one")]
        with cnflow.load(Config(executors=executors, run_dir=str(tmp_path))) as loaded:
            yield loaded

    def test_are_listed_by_label_without_the_one_for_join_apps(self, dfk):
        @cnflow.join_app
        def join_one():
            return cnflow.python_app(add)(1)

        assert join_one().result(10) == 1
        assert {label: executor.label for label, executor in dfk.executors.items()} == {"one": "one"}

    def test_are_added_while_the_run_goes_on(self, dfk):
        app = cnflow.python_app(threading.current_thread, executors="two")
        with pytest.raises(UnknownNameError, match="No executor is called 'two'"):
            app()
        dfk.add_executors([ThreadPoolExecutor(label="two", max_threads=1)])
        assert list(dfk.executors) == ["one", "two"]
        assert app().result(10).name.startswith("cnflow-two-")
        names = {cnflow.python_app(threading.current_thread)().result(10).name.split("-")[1] for _ in range(4)}
        assert names == {"one", "two"}

    def test_with_a_taken_label_are_refused(self, dfk):
        with pytest.raises(ConfigurationError, match="Two executors are labelled 'one'"):
            dfk.add_executors([ThreadPoolExecutor(label="one")])

    def test_are_not_added_to_a_run_that_has_ended(self, dfk):
        dfk.cleanup()
        with pytest.raises(ExecutorClosedError, match="'two' was added after its run had ended"):
            dfk.add_executors([ThreadPoolExecutor(label="two")])

    def test_of_join_apps_run_as_many_functions_as_configured(self, tmp_path):
        config = Config(internal_tasks_max_threads=3, run_dir=str(tmp_path))
        together = threading.Barrier(3)

        @cnflow.join_app
        def meet():
            together.wait(20)
            return cnflow.python_app(add)(1)

        with cnflow.load(config):
            assert [future.result(20) for future in [meet() for _ in range(3)]] == [1, 1, 1]


class TestEnd:
    """End of ``with`` by ``exit_mode``; a task waits for a future that only the test sets."""

    @pytest.fixture
    def load(self, tmp_path):
        loaded = []

        def make(mode):
            loaded.append(cnflow.load(Config(exit_mode=mode, run_dir=str(tmp_path))))
            return loaded[-1]

        yield make
        for dfk in loaded:
            dfk.cleanup()

    def test_waits_for_all_tasks(self, load):
        external = Future()
        with load("wait") as dfk:
            future = cnflow.python_app(add)(external)
            threading.Timer(0.1, external.set_result, [4]).start()
        assert future.result(0) == 4
        assert dfk.cleanup_called

    @pytest.mark.parametrize("mode", ["wait", "cleanup"])
    def test_does_not_wait_when_the_block_raised(self, load, mode):
        dfk = load(mode)
        future = cnflow.python_app(add)(Future())
        with pytest.raises(RuntimeError), dfk:
            raise RuntimeError
        assert dfk.cleanup_called
        assert isinstance(future.exception(0), ExecutorClosedError)

    def test_does_not_wait_in_mode_cleanup(self, load):
        with load("cleanup") as dfk:
            future = cnflow.python_app(add)(Future())
        assert dfk.cleanup_called
        assert isinstance(future.exception(0), ExecutorClosedError)

    def test_leaves_the_run_loaded_in_mode_skip(self, load):
        external = Future()
        with load("skip") as dfk:
            future = cnflow.python_app(add)(external)
        assert cnflow.dfk() is dfk
        assert not dfk.cleanup_called
        external.set_result(4)
        assert future.result(10) == 4

    def test_leaves_the_run_loaded_in_mode_skip_when_the_block_raised(self, load):
        with pytest.raises(RuntimeError), load("skip") as dfk:
            raise RuntimeError
        assert not dfk.cleanup_called

    def test_is_awaited_by_a_second_thread(self, tmp_path):
        may_end, ends = threading.Event(), []
        dfk = cnflow.load(Config(run_dir=str(tmp_path)))
        dfk.on_cleanup(lambda: (may_end.wait(20), ends.append("first")))
        threads = [
            threading.Thread(target=lambda: (dfk.cleanup(), ends.append("returned")), daemon=True) for _ in range(2)
        ]
        threads[0].start()
        while not dfk.cleanup_called:
            time.sleep(0.001)
        threads[1].start()
        threads[1].join(0.2)
        assert ends == []
        may_end.set()
        for thread in threads:
            thread.join(20)
        assert ends == ["first", "returned", "returned"]

    def test_is_not_awaited_by_a_thread_that_it_waits_for(self, tmp_path):
        dfk = cnflow.load(Config(executors=[ThreadPoolExecutor(max_threads=1)], run_dir=str(tmp_path)))
        begun, may_end, returned = threading.Event(), threading.Event(), []

        def end(_):
            begun.set()
            while not dfk.cleanup_called:
                time.sleep(0.001)
            dfk.cleanup()
            returned.append(True)

        future = cnflow.python_app(may_end.wait)(20)
        future.add_done_callback(end)
        may_end.set()
        assert begun.wait(20)
        dfk.cleanup()
        assert returned == [True]

    def test_in_an_unknown_mode_is_refused(self):
        with pytest.raises(ConfigurationError, match="exit_mode"):
            Config(exit_mode="wrong")


class TestLog:
    def states(self, caplog):
        return [
            (record.__dict__["cnflow.task_id"], record.__dict__["cnflow.task_state"])
            for record in caplog.records
            if "cnflow.task_state" in record.__dict__
        ]

    def test_has_a_line_for_each_change_of_a_tasks_state(self, make_dfk, executor, caplog):
        caplog.set_level(logging.DEBUG, "cnflow")
        dfk = make_dfk(retries=1)
        first = dfk.submit(AppFunction(add), (1,), {})
        dfk.submit(AppFunction(add), (first,), {})
        failing = dfk.submit(AppFunction(fail), (), {})
        dfk.submit(AppFunction(add), (failing,), {})
        dfk.submit(AppFunction(add), (Future(),), {}).cancel()
        for _ in range(3):
            executor.run()
        by_task = {}
        for task, state in self.states(caplog):
            by_task.setdefault(task, []).append(state)
        assert by_task == {
            0: ["waiting", "launched", "done"],
            1: ["waiting", "launched", "done"],
            2: ["waiting", "launched", "launched", "failed"],
            3: ["waiting", "dependency_failed"],
            4: ["waiting", "cancelled"],
        }
        assert "Task 2 (fail) is launched" in caplog.text

    def test_has_no_line_for_a_task_at_level_info(self, make_dfk, executor, caplog):
        caplog.set_level(logging.INFO, "cnflow")
        make_dfk().submit(AppFunction(add), (1,), {})
        executor.run()
        assert self.states(caplog) == []


class TestResolver:
    def test_shallow_passes_nested_futures_unchanged(self, make_dfk, executor):
        dfk = make_dfk(dependency_resolver="shallow")
        nested, direct = Future(), Future()
        direct.set_result(1)
        future = dfk.submit(AppFunction(lambda *args: args), (direct, [nested]), {})
        executor.run()
        assert future.result(0) == (1, [nested])

    def test_deep_is_the_default(self, make_dfk, executor):
        nested = Future()
        future = make_dfk().submit(AppFunction(lambda value: value), ([nested],), {})
        assert not executor.taken
        nested.set_result(1)
        executor.run()
        assert future.result(0) == [1]

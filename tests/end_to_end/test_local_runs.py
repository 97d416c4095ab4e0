"""A user's script on this machine, from decorator to result, through real processes and sockets."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.dataflow.futures.app_future import AppFuture
from cnflow.errors import BashExitFailure, DependencyError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.model.task import TaskState


@python_app
def add(a, b=0):
    return a + b


@python_app
def total(inputs=()):
    return sum(inputs)


@python_app
def environment():
    import os

    return {name: value for name, value in os.environ.items() if name.startswith("CNFLOW_WORKER_")}


@python_app
def modules_in_worker():
    import sys

    return sorted(sys.modules)


@python_app
def nap(seconds):
    import time

    time.sleep(seconds)


@python_app
def double(data):
    return data + data


@bash_app
def shell(command, stdout=None, stderr=None):
    return command


@pytest.fixture(params=["threads", "processes"])
def dfk(request, tmp_path):
    executor = ThreadPoolExecutor() if request.param == "threads" else HighThroughputExecutor(max_workers=2)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))) as loaded:
        yield loaded


@pytest.fixture
def processes(tmp_path):
    executor = HighThroughputExecutor(max_workers=2, cores_per_worker=0.5)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))) as loaded:
        yield loaded


@pytest.mark.usefixtures("dfk")
class TestThreadsAndProcesses:
    def test_call_returns_a_future_whose_result_arrives(self):
        assert add(1, b=2).result(30) == 3

    def test_futures_as_positional_keyword_and_listed_arguments_make_a_graph(self):
        one, two = add(1), add(2)
        three = add(one, b=two)
        assert total(inputs=[one, two, three]).result(30) == 6

    def test_diamond_of_a_thousand_edges_is_computed(self):
        start = add(1)
        assert total(inputs=[add(start, b=n) for n in range(1000)]).result(60) == sum(range(1, 1001))

    def test_stdout_of_a_shell_command_goes_to_its_file(self, tmp_path):
        out = tmp_path / "made" / "here" / "out.txt"
        assert shell("echo hello; echo again", stdout=str(out)).result(30) == 0
        assert out.read_text() == "hello\nagain\n"

    def test_stdout_is_appended_to_unless_a_mode_is_given(self, tmp_path):
        out = tmp_path / "out.txt"
        shell("echo one", stdout=str(out)).result(30)
        shell("echo two", stdout=str(out)).result(30)
        assert out.read_text() == "one\ntwo\n"
        shell("echo three", stdout=(str(out), "w")).result(30)
        assert out.read_text() == "three\n"

    def test_error_of_a_failed_command_has_exit_code_command_and_last_lines(self):
        error = shell("echo the reason >&2; exit 7").exception(30)
        assert isinstance(error, BashExitFailure)
        assert error.exitcode == 7
        assert "the reason" in str(error)
        assert "exit 7" in str(error)

    def test_end_of_with_waits_for_all_tasks(self, dfk):
        future = nap(0.3)
        dfk.wait_for_current_tasks()
        assert future.done()

    def test_task_counts_are_right_at_the_end(self, dfk):
        failing = shell("exit 1")
        add(failing)
        add(1)
        cnflow.wait_for_current_tasks()
        counts = dfk.task_counts()
        assert (counts[TaskState.DONE], counts[TaskState.FAILED], counts[TaskState.DEPENDENCY_FAILED]) == (1, 1, 1)


@pytest.mark.usefixtures("processes")
class TestProcesses:
    def test_workers_know_their_rank_count_pool_and_block(self):
        seen = environment().result(30)
        assert sorted(seen) == [
            "CNFLOW_WORKER_BLOCK_ID",
            "CNFLOW_WORKER_COUNT",
            "CNFLOW_WORKER_EXECUTOR",
            "CNFLOW_WORKER_IMAGE",
            "CNFLOW_WORKER_PACKAGES",
            "CNFLOW_WORKER_POOL_ID",
            "CNFLOW_WORKER_RANK",
        ]
        assert (seen["CNFLOW_WORKER_COUNT"], seen["CNFLOW_WORKER_BLOCK_ID"]) == ("2", "0")
        assert seen["CNFLOW_WORKER_RANK"] in {"0", "1"}

    def test_worker_loads_no_package_of_cnflow_that_could_conflict_with_the_users(self):
        loaded = set(modules_in_worker().result(30))
        assert not loaded & {"zmq", "msgspec", "pydantic", "rich", "typer"}

    def test_large_values_come_back_whole(self):
        data = os.urandom(8_000_000)
        assert double(data).result(60) == data + data

    def test_many_large_values_at_once_come_back_whole(self):
        values = [os.urandom(1_000_000) for _ in range(20)]
        assert [f.result(60) for f in [double(v) for v in values]] == [v + v for v in values]

    def test_ten_thousand_tasks_come_back_once_each(self):
        assert [f.result(60) for f in [add(n, b=1) for n in range(10_000)]] == list(range(1, 10_001))

    def test_two_workers_run_two_tasks_at_once(self):
        add(1).result(30)
        begin = time.monotonic()
        for future in [nap(1), nap(1)]:
            future.result(30)
        assert time.monotonic() - begin < 1.9

    def test_tasks_can_be_submitted_from_many_threads(self):
        got = []

        def submit():
            got.extend(f.result(60) for f in [add(n) for n in range(200)])

        threads = [threading.Thread(target=submit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == sorted(list(range(200)) * 4)

    def test_function_as_an_argument_is_sent_to_the_worker(self):
        @python_app
        def apply(function, value):
            return function(value)

        assert apply(lambda x: x * 3, 4).result(30) == 12


@pytest.mark.long
def test_graph_of_a_hundred_thousand_tasks_is_computed(tmp_path):
    with cnflow.load(Config(executors=[HighThroughputExecutor()], run_dir=str(tmp_path))):
        layer = [add(n) for n in range(50_000)]
        sums = [add(a, b=b) for a, b in zip(layer, layer[1:] + layer[:1], strict=True)]
        assert sum(f.result(100) for f in sums) == 2 * sum(range(50_000))


def test_ten_slots_over_two_managers_run_ten_tasks_at_once(tmp_path):
    from cnflow.providers import LocalProvider

    executor = HighThroughputExecutor(provider=LocalProvider(init_blocks=2), max_workers=5, cores_per_worker=0.1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))) as dfk:
        for _ in range(300):
            if dfk.executor_status()[0].workers == 10:
                break
            nap(0.05).result(30)
        [f.result(30) for f in [nap(0) for _ in range(200)]]  # so that short tasks are expected
        begin = time.monotonic()
        [f.result(30) for f in [nap(1) for _ in range(10)]]
        assert time.monotonic() - begin < 1.9


def test_config_can_be_loaded_twice(tmp_path):
    config = Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))
    for expected in ("000", "001"):
        with cnflow.load(config) as dfk:
            assert add(1, b=1).result(30) == 2
            assert dfk.run_dir.name == expected


def test_run_leaves_no_process_thread_or_descriptor(tmp_path):
    def now():
        threads = list(Path("/proc/self/task").iterdir())
        children = [pid for thread in threads for pid in (thread / "children").read_text().split()]
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), len(children)

    def run():
        with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))):
            add(1).result(30)

    run()
    before = now()
    for _ in range(3):
        run()
    assert now() == before


def test_exception_in_the_with_block_ends_the_run_at_once(tmp_path):
    config = Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))
    begin = time.monotonic()
    running = []

    def run():
        with cnflow.load(config):
            add(1).result(30)
            running.append(nap(60))
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert time.monotonic() - begin < 15
    assert "the run ended" in str(running[0].exception(0))


def test_dependency_error_names_its_root_cause_across_processes(tmp_path):
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))):
        error = add(add(shell("exit 3"))).exception(30)
    assert isinstance(error, DependencyError)
    assert isinstance(error.root_cause, BashExitFailure)
    assert "task 0 (shell) -> task 1 (add) -> task 2 (add)" in str(error)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 looks into the current folder first. Run 3.11.")
@pytest.mark.parametrize("name", ["zmq", "msgspec", "logging", "cnflow"])
def test_module_in_the_current_folder_does_not_shadow_cnflows_own(name, tmp_path, monkeypatch):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir="runs")):
        assert python_app(len)("four").result(30) == 4


@python_app(executors=["htex"])
def fail_before_repair(folder):
    from pathlib import Path

    mark = Path(folder, "mark")
    if not mark.exists():
        mark.touch()
        raise ValueError("not repaired yet")
    return 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("label", ["htex", "threads"])
def test_retry_handler_may_wait_for_a_task_on_any_executor(label, tmp_path):
    waited = []
    repair = python_app(bool, executors=[label])

    def handler(error, record):
        waited.append(repair(1).result(10))
        return 1

    executors = [HighThroughputExecutor(label="htex", max_workers=1), ThreadPoolExecutor(label="threads")]
    config = Config(executors=executors, run_dir=str(tmp_path / "runs"), retries=1, retry_handler=handler)
    with cnflow.load(config):
        assert fail_before_repair(str(tmp_path)).result(40) == 1
    assert waited == [True]


@pytest.mark.parametrize("executor", [HighThroughputExecutor(max_workers=1), ThreadPoolExecutor(max_threads=1)])
def test_end_of_a_run_waits_for_callbacks_of_results_that_are_being_set(executor, tmp_path, monkeypatch):
    invoke, later = AppFuture._invoke_callbacks, []

    def invoke_slowly(future):
        time.sleep(0.1)  # the result can be read, and its callbacks are not queued yet
        invoke(future)

    monkeypatch.setattr(AppFuture, "_invoke_callbacks", invoke_slowly)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        add(100).add_done_callback(lambda future: later.append(add(future.result(), 1)))
    assert later[0].result(0) == 101


@pytest.mark.parametrize("executor", [HighThroughputExecutor(max_workers=1), ThreadPoolExecutor(max_threads=1)])
def test_callback_waits_for_another_task_and_stops_nothing(executor, tmp_path):
    may_end, waited, later = threading.Event(), [], []
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        first = add(1)
        first.add_done_callback(lambda future: waited.append(add(future.result(), 1).result(30)))
        second = add(10)
        second.add_done_callback(lambda future: may_end.wait(30))
        assert [first.result(30), second.result(30)] == [1, 10]
        assert [add(n).result(30) for n in range(5)] == list(range(5)), "one callback waits, the executor goes on"
        add(100).add_done_callback(lambda future: later.append(add(future.result(), 1)))
        may_end.set()
    assert waited == [2]
    assert later[0].result(0) == 101, "the end of a run waits for callbacks, and for the tasks that they submit"

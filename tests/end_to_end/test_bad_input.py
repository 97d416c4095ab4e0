"""Bad input fails its task or call with a clear error, and nothing else."""

import linecache
import os
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import Future
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.dataflow.references import ref
from cnflow.errors import (
    AlreadyLoadedError,
    BashAppNoReturn,
    BlockError,
    BlockRejectedError,
    ConfigurationError,
    NoDataFlowKernelError,
    RemoteError,
    SerializationError,
    UnknownNameError,
    WorkerLost,
)
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.providers import LocalProvider


@python_app
def add(a, b=0):
    return a + b


@pytest.fixture
def processes(tmp_path):
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))) as dfk:
        yield dfk
        assert add(1, b=2).result(30) == 3, "the run goes on"


class ExitingError(Exception):
    """Ends the program when it is made without a hint, as errors of command line tools do."""

    def __init__(self, message, hint=None):
        super().__init__(message)
        if hint is None:
            sys.exit(message)


def _end(kind):
    raise kind


class Hostile:
    """Value that raises *kind* when it is pickled ("dump") or loaded ("load")."""

    def __init__(self, when, kind):
        self.when, self.kind = when, kind

    def __reduce__(self):
        if self.when == "dump":
            raise self.kind
        return _end, (self.kind,)


WORDS = {RecursionError: "Could not pickle object as excessively deep recursion required"}  # cloudpickle's
ENDING = [SystemExit, KeyboardInterrupt, RecursionError, MemoryError, GeneratorExit]


def _raises_while_it_is_loaded(kind):
    @python_app
    def give():
        return Hostile("load", kind)

    error = give().exception(30)
    assert type(error) is SerializationError
    assert f"cannot be loaded in the driver: {kind.__name__}" in str(error)
    assert type(error.__cause__) is kind


def _result_raises_while_it_is_pickled(kind):
    @python_app
    def give():
        return Hostile("dump", kind)

    error = give().exception(30)
    assert type(error) is SerializationError
    assert f"Hostile: {WORDS.get(kind, kind.__name__)}" in str(error)


def _argument_raises_while_it_is_pickled(kind):
    external = Future()
    future = add(external)
    thread = threading.Thread(target=external.set_result, args=[Hostile("dump", kind)])
    thread.start()  # Python raises Ctrl-C in the main thread alone; a KeyboardInterrupt here is the value's
    error = future.exception(30)
    assert type(error) is SerializationError
    assert "'a'" in str(error)
    assert WORDS.get(kind, kind.__name__) in str(error)


def _exception_ends_the_program_while_it_is_loaded():
    @python_app
    def refuse():
        raise ExitingError("no licence", "buy one")

    error = refuse().exception(30)
    assert type(error) is RemoteError
    assert "ExitingError: no licence" in str(error)


def test_user_code_in_threads_of_the_driver_ends_its_task_alone(processes):
    for kind in ENDING:
        _raises_while_it_is_loaded(kind)
        _result_raises_while_it_is_pickled(kind)
        _argument_raises_while_it_is_pickled(kind)
    _exception_ends_the_program_while_it_is_loaded()
    assert processes.tasks == {}


class NamelessClass(type):
    @property
    def __name__(cls):
        raise SystemExit(3)


class Nameless(Exception, metaclass=NamelessClass):  # noqa: N818 - an example
    pass


class Traceless(Exception):  # noqa: N818 - an example
    @property
    def __traceback__(self):
        raise SystemExit(3)


class Closed(Exception):  # noqa: N818 - an example
    def __getattribute__(self, name):
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", [Nameless, Traceless, Closed], ids=["Nameless", "Traceless", "Closed"])
def test_exception_that_cannot_be_looked_at_fails_its_task_in_a_thread(kind, tmp_path):
    @python_app
    def refuse():
        raise kind("no licence")

    with cnflow.load(Config(executors=[ThreadPoolExecutor(max_threads=1)], run_dir=str(tmp_path))):
        error = refuse().exception(30)
        assert type(error) is RemoteError
        assert type.__dict__["__name__"].__get__(kind) in error.type_name
        assert (error.message, "raise kind" in error.traceback_text) == ("no licence", True)
        assert isinstance(add(refuse(), 1).exception(30).root_cause, RemoteError)
        assert add(1, b=2).result(30) == 3


class Unbound:
    """A proxy, as those of web frameworks, that is bound to nothing."""

    @property
    def __class__(self):
        raise RuntimeError("outside of a request")


def test_result_whose_class_is_computed_reaches_other_tasks_in_threads(tmp_path, monkeypatch):
    @python_app
    def give():
        return Unbound()

    @python_app
    def kind_of(value):
        return type(value)

    monkeypatch.setattr(ref, "has_any", True)  # as after cnflow.put: references are looked for in arguments, too
    with cnflow.load(Config(executors=[ThreadPoolExecutor(max_threads=1)], run_dir=str(tmp_path))):
        given = give()
        assert kind_of(given).result(30) is Unbound
        assert type(given.result(30)) is Unbound


def test_exception_that_cannot_be_looked_at_fails_its_task_in_a_process(processes):
    @python_app
    def refuse():
        raise Traceless("no licence")

    error = refuse().exception(30)
    assert type(error) is RemoteError
    assert error.message == "no licence"


def test_ctrl_c_in_a_call_ends_the_call_and_leaves_no_task(processes):
    with pytest.raises(KeyboardInterrupt):
        add(Hostile("dump", KeyboardInterrupt))
    processes.wait_for_current_tasks()
    assert processes.tasks == {}


@pytest.mark.usefixtures("processes")
class TestFailingTask:
    def test_traceback_begins_with_the_users_frames_and_has_none_of_cnflow(self):
        @python_app
        def divide(a, b):
            return a / b

        error = divide(1, 0).exception(30)
        assert isinstance(error, ZeroDivisionError)
        printed = "".join(traceback.format_exception(error))
        first = printed.partition("The above exception")[0]
        assert f'File "{__file__}", line {divide.__wrapped__.__code__.co_firstlineno + 2}, in divide' in first
        assert "return a / b" in first
        assert "cnflow/worker" not in first.replace(os.sep, "/")

    def test_traceback_shows_the_line_of_a_notebook_cell(self, monkeypatch):
        cell, source = "<ipython-input-7-0a1b>", "def divide(a, b):\n    return a / b  # in the cell\n"
        monkeypatch.setitem(linecache.cache, cell, (len(source), None, source.splitlines(keepends=True), cell))
        notebook = {"__name__": "__main__"}
        exec(compile(source, cell, "exec"), notebook)
        error = python_app(notebook["divide"])(1, 0).exception(30)
        assert f'File "{cell}", line 2, in divide\n    return a / b  # in the cell\n' in str(error.__cause__)

    def test_traceback_shows_lines_of_a_helper_module(self, monkeypatch, tmp_path):
        (tmp_path / "helper_that_divides.py").write_text("def divide(a, b):\n    return [a / x for x in [b]]\n")
        monkeypatch.syspath_prepend(tmp_path)
        import helper_that_divides

        error = python_app(helper_that_divides.divide)(1, 0).exception(30)
        shown = str(error.__cause__)
        assert f'File "{helper_that_divides.__file__}", line 2, in divide\n    return [a / x for x in [b]]\n' in shown

    def test_sys_exit_fails_its_task_alone_with_exit_code_and_last_lines(self):
        @python_app
        def leave():
            import sys

            sys.stderr.write("goodbye\n")
            sys.exit(5)

        error = leave().exception(30)
        assert isinstance(error, WorkerLost)
        assert error.exitcode == 5
        assert "goodbye" in str(error)
        assert "Task 0 (leave)" in str(error)

    def test_crash_fails_its_task_alone_with_signal_and_last_lines(self):
        @python_app
        def crash():
            import os
            import signal
            import sys

            sys.stderr.write("about to crash\n")
            os.kill(os.getpid(), signal.SIGSEGV)

        others = [add(n) for n in range(50)]
        error = crash().exception(30)
        more = [add(n) for n in range(50)]
        assert isinstance(error, WorkerLost)
        assert error.exitcode == -signal.SIGSEGV
        assert "SIGSEGV" in str(error)
        assert "about to crash" in str(error)
        assert [f.result(30) for f in others + more] == list(range(50)) * 2

    def test_argument_that_cannot_be_pickled_is_named_with_its_part(self):
        error = add({"model": [threading.Lock()]}, b=1).exception(30)
        assert isinstance(error, SerializationError)
        assert "Argument \"a['model'][0]\" of Task 0 (add)" in str(error)

    def test_function_that_cannot_be_pickled_is_named(self):
        lock = threading.Lock()

        @python_app
        def holds():
            return lock

        error = holds().exception(30)
        assert isinstance(error, SerializationError)
        assert "The function of Task 0 (holds)" in str(error)

    def test_result_that_cannot_be_pickled_is_named(self):
        @python_app
        def lock():
            import threading

            return threading.Lock()

        error = lock().exception(30)
        assert isinstance(error, SerializationError)
        assert "Task 0 (lock) ran, but its result cannot be pickled: lock" in str(error)

    def test_exception_that_cannot_be_unpickled_arrives_as_text(self):
        @python_app
        def fails():
            class PickyError(Exception):
                def __init__(self, one, two):
                    super().__init__(f"{one} {two}")

            raise PickyError("a", "b")

        error = fails().exception(30)
        assert isinstance(error, RemoteError)
        assert "PickyError: a b" in str(error)

    def test_module_missing_on_the_worker_fails_its_task_alone(self):
        @python_app
        def imports():
            import no_such_module_anywhere

            return no_such_module_anywhere

        assert isinstance(imports().exception(30), ModuleNotFoundError)

    def test_wrong_arguments_fail_their_task_alone(self):
        assert isinstance(add(1, 2, 3).exception(30), TypeError)

    def test_bash_app_that_returns_no_string_fails_with_advice(self):
        @bash_app
        def nothing():
            pass

        error = nothing().exception(30)
        assert isinstance(error, BashAppNoReturn)
        assert "returned None" in str(error)


class TestRefusedCall:
    def test_unknown_executor_is_refused_with_the_nearest(self, tmp_path):
        app = python_app(executors=["thredas"])(lambda: 1)
        with (
            cnflow.load(Config(run_dir=str(tmp_path))),
            pytest.raises(UnknownNameError, match="Did you mean 'threads'"),
        ):
            app()

    def test_unknown_option_is_refused_with_the_nearest(self):
        with pytest.raises(ConfigurationError, match=r"no option 'imge'\. Did you mean 'image'"):
            python_app(imge="x")
        with pytest.raises(ConfigurationError, match=r"no option 'max_worker'\. Did you mean 'max_workers'"):
            HighThroughputExecutor(max_worker=1)

    def test_option_of_the_wrong_type_is_refused_with_the_type_it_must_have(self):
        with pytest.raises(ConfigurationError, match=r"executors=...\) must be a label or a list of labels, not \[5\]"):
            python_app(executors=[5])
        with pytest.raises(ConfigurationError, match=r"image must be an Image, the name of one, or a table, not 5"):
            python_app(image=5)
        for retries in ("2", -1, True):
            with pytest.raises(ConfigurationError, match=r"retries=...\) must be a number from 0 on, not"):
                python_app(retries=retries)
        with pytest.raises(ConfigurationError, match=r"write executors=\[...\]"):
            Config(executors=ThreadPoolExecutor())
        with pytest.raises(ConfigurationError, match=r"provider=DockerProvider\(\), not the name 'docker'"):
            HighThroughputExecutor(provider="docker")

    def test_run_dir_that_is_a_file_is_refused_by_name(self, tmp_path):
        (tmp_path / "taken").write_text("")
        with pytest.raises(ConfigurationError, match=r"run_dir='.*taken' cannot be used"):
            cnflow.load(Config(run_dir=str(tmp_path / "taken")))

    def test_second_load_is_refused_with_the_way_to_end_the_first(self, tmp_path):
        with cnflow.load(Config(run_dir=str(tmp_path))), pytest.raises(AlreadyLoadedError, match="End it first"):
            cnflow.load()

    def test_call_without_load_is_refused(self):
        with pytest.raises(NoDataFlowKernelError, match=r"add\(\) needs a loaded configuration"):
            add(1)
        with pytest.raises(NoDataFlowKernelError):
            cnflow.dfk()

    def test_config_of_the_wrong_type_is_refused_with_the_way_to_make_one(self):
        with pytest.raises(
            ConfigurationError, match=r"load\(\) takes a Config or the path of a file with one, not dict"
        ):
            cnflow.load({"executors": []})

    def test_image_on_plain_processes_is_refused_with_the_provider_to_use(self, tmp_path):
        config = Config(executors=[HighThroughputExecutor(image="app1:0.1")], run_dir=str(tmp_path))
        with cnflow.load(config):
            error = add(1).exception(30)
        assert isinstance(error, BlockRejectedError)
        assert "DockerProvider" in str(error)

    def test_executors_with_the_same_label_are_refused(self):
        with pytest.raises(ConfigurationError, match="labelled 'threads'"):
            Config(executors=[ThreadPoolExecutor(), ThreadPoolExecutor()])


def test_error_quotes_the_provider_that_cannot_start_a_block(tmp_path):
    provider = LocalProvider(python="/no/such/python")
    config = Config(executors=[HighThroughputExecutor(provider=provider)], run_dir=str(tmp_path))
    with cnflow.load(config):
        error = add(1).exception(30)
    assert isinstance(error, BlockError)
    assert "/no/such/python" in str(error)


NAPPING_DRIVER = (
    "import cnflow, time, os\n"
    "from cnflow import Config, python_app\n"
    "from cnflow.executors import HighThroughputExecutor\n"
    "@python_app\n"
    "def pid():\n"
    "    import os\n"
    "    return os.getpid(), os.getppid()\n"
    "@python_app\n"
    "def nap():\n"
    "    import time\n"
    "    time.sleep(60)\n"
    "with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)])):\n"
    "    print(*pid().result(), flush=True)\n"
    "    nap().result()\n"
)


def test_ctrl_c_ends_the_run_and_leaves_no_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(NAPPING_DRIVER)
    driver = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    pids = [int(word) for word in driver.stdout.readline().split()]
    driver.send_signal(signal.SIGINT)
    _, stderr = driver.communicate(timeout=20)
    assert b"KeyboardInterrupt" in stderr
    assert [pid for pid in pids if is_running(pid)] == []


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_killed_driver_leaves_no_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(NAPPING_DRIVER)
    driver = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, cwd=tmp_path)
    pids = [int(word) for word in driver.stdout.readline().split()]
    driver.kill()
    driver.communicate(timeout=20)
    wait_until(lambda: not any(is_running(pid) for pid in pids))


def wait_until(condition, seconds=20):
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

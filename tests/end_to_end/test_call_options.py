"""Special keywords (inputs, outputs, stdout, stderr, walltime, env, sandbox) on threads and on processes."""

import concurrent.futures
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import AUTO_LOGNAME, Config, File, bash_app, python_app
from cnflow.errors import (
    AppTimeout,
    BadStdStreamFile,
    BashExitFailure,
    ConfigurationError,
    MissingOutputs,
    UnknownNameError,
)
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor


@pytest.fixture(params=["threads", "processes"])
def dfk(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    executor = ThreadPoolExecutor() if request.param == "threads" else HighThroughputExecutor(max_workers=2)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))) as loaded:
        yield loaded


@pytest.fixture
def processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))) as loaded:
        yield loaded


@bash_app
def write(text, outputs=()):
    return f"printf %s '{text}' > {outputs[0]}"


@bash_app
def shell(command):
    return command


@python_app
def read(inputs=()):
    from pathlib import Path

    return [Path(path).read_text() for path in inputs]


@python_app
def nap(seconds):
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:  # a thread is stopped between two lines of Python, not inside one long sleep
        time.sleep(0.01)
    return seconds


@pytest.mark.usefixtures("dfk")
class TestThreadsAndProcesses:
    def test_output_of_a_task_is_an_input_of_the_next(self, tmp_path):
        one = write("one", outputs=[File("one.txt")])
        two = write("two", outputs=[str(tmp_path / "two.txt")])
        assert read(inputs=[*one.outputs, *two.outputs]).result(30) == ["one", "two"]
        assert one.outputs[0].result(0).filename == "one.txt"

    def test_lists_of_the_caller_are_not_changed(self):
        outputs = ["x.txt"]
        future = write("x", outputs=outputs)
        inputs = [future.outputs[0]]
        read(inputs=inputs).result(30)
        assert outputs == ["x.txt"]
        assert inputs == [future.outputs[0]]

    def test_missing_output_fails_the_task_by_name(self):
        future = shell("true", outputs=["a.txt", "b.txt"])
        error = future.exception(30)
        assert isinstance(error, MissingOutputs)
        assert f"{Path.cwd() / 'a.txt'}, {Path.cwd() / 'b.txt'}" in str(error)
        assert future.outputs[0].exception(0) is error

    def test_inputs_are_waited_for_where_the_function_has_no_such_parameter(self):
        made = write("x", outputs=["x.txt"])
        assert shell("test -f x.txt", inputs=made.outputs).result(30) == 0

    def test_auto_logname_is_made_of_task_and_app(self, dfk):
        future = shell("echo out; echo err >&2", stdout=AUTO_LOGNAME, stderr=AUTO_LOGNAME, label="mine")
        future.result(30)
        assert future.stdout == str(dfk.run_dir / "task_logs" / "0000" / "task_0000_shell_mine.stdout")
        assert Path(future.stdout).read_text() == "out\n"
        assert Path(future.stderr).read_text() == "err\n"

    def test_stream_that_cannot_be_opened_fails_the_task_by_name(self, tmp_path):
        error = shell("true", stdout=str(tmp_path)).exception(30)
        assert isinstance(error, BadStdStreamFile)
        assert str(tmp_path) in str(error)

    def test_command_gets_the_variables_of_env(self, tmp_path):
        shell("echo $GREETING", env={"GREETING": "hello"}, stdout="out.txt").result(30)
        assert (tmp_path / "out.txt").read_text() == "hello\n"

    def test_walltime_stops_a_command_and_its_child_processes(self, tmp_path):
        begin = time.monotonic()
        error = shell("sleep 600 & echo $! > pid; wait", walltime=0.5).exception(30)
        assert isinstance(error, AppTimeout)
        assert time.monotonic() - begin < 10
        child = int((tmp_path / "pid").read_text())
        wait_until(lambda: not is_running(child))

    def test_walltime_of_decorator_and_of_call_stop_a_python_app(self):
        patient = python_app(walltime=60)(nap.function)
        assert patient(0.01).result(30) == 0.01
        assert isinstance(patient(30, walltime=0.3).exception(30), AppTimeout)
        assert isinstance(python_app(walltime=0.3)(nap.function)(30).exception(30), AppTimeout)

    def test_running_task_is_cancelled(self):
        running = nap(60)
        time.sleep(0.3)
        assert running.cancel()
        assert concurrent.futures.wait([running], 20).done == {running}
        assert running.cancelled()
        assert nap(0).result(30) == 0

    def test_invalid_keywords_are_refused_at_the_call(self):
        with pytest.raises(ConfigurationError, match=r"nap\(walltime=...\) must be a number of seconds"):
            nap(1, walltime="long")
        with pytest.raises(ConfigurationError, match=r"outputs\[0\] is 5, of type int"):
            write("x", outputs=[5])
        with pytest.raises(ConfigurationError, match=r"outputs='x\.txt' is one file"):
            write("x", outputs="x.txt")
        with pytest.raises(UnknownNameError, match="scheme of files that can be staged in is called 'gopher'"):
            read(inputs=[File("gopher://host/x.txt")])

    def test_cached_call_is_rerun_when_its_input_file_has_changed(self, tmp_path):
        cached = python_app(cache=True)(read.function)
        (tmp_path / "data.txt").write_text("one")
        assert cached(inputs=[File("data.txt")]).result(30) == ["one"]
        (tmp_path / "data.txt").write_text("and two")
        assert cached(inputs=[File("data.txt")]).result(30) == ["and two"]


@pytest.mark.usefixtures("processes")
class TestProcesses:
    def test_stdout_captures_the_prints_of_a_python_app(self, tmp_path):
        @python_app
        def prints():
            import os
            import sys

            sys.stdout.write("from python\n")
            os.system("echo from a child")

        prints(stdout="out.txt").result(30)
        assert sorted((tmp_path / "out.txt").read_text().splitlines()) == ["from a child", "from python"]

    def test_sandbox_has_the_inputs_and_returns_the_outputs(self, tmp_path):
        (tmp_path / "data.txt").write_text("data")
        done = shell(
            "cat data.txt > copy.txt; touch junk; pwd > where.txt",
            inputs=["data.txt"],
            outputs=["copy.txt", "where.txt"],
            sandbox=True,
        )
        done.result(30)
        assert (tmp_path / "copy.txt").read_text() == "data"
        assert not (tmp_path / "junk").exists()
        assert not Path((tmp_path / "where.txt").read_text().strip()).exists()

    def test_failing_command_leaves_no_sandbox(self, tmp_path):
        before = sorted(tmp_path.iterdir())
        assert isinstance(shell("touch junk; exit 2", sandbox=True).exception(30), BashExitFailure)
        assert sorted(tmp_path.iterdir()) == before


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_pipeline_fails_as_the_app_and_the_config_say(tmp_path):
    def line():
        return "false | true"

    for setting, codes in ((False, [0, 1, 0]), (True, [1, 1, 0])):
        config = Config(executors=[ThreadPoolExecutor()], run_dir=str(tmp_path), bash_pipefail=setting)
        with cnflow.load(config):
            apps = [bash_app(line), bash_app(pipefail=True)(line), bash_app(line).options(pipefail=False)]
            errors = [call().exception(timeout=30) for call in apps]
        assert [getattr(error, "exitcode", 0) for error in errors] == codes

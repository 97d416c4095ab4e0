"""Output streams, environment and sandbox of a task, in real processes and threads."""

import os
import pathlib

import pytest

# ruff: noqa: T201 - tasks print
from cnflow.errors import BadStdStreamFile, BashExitFailure, ConfigurationError, MissingOutputs


def speak(words="out", wrong="err"):
    import sys

    print(words)
    print(wrong, file=sys.stderr)


def speak_by_all_means():
    import ctypes
    import os
    import subprocess

    print("python")
    subprocess.run(["echo", "child"], check=True)
    os.write(1, b"descriptor\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"c")


def where():
    from pathlib import Path

    return str(Path.cwd())


def variable(name):
    import os

    return os.environ.get(name)


class TestStreams:
    def test_python_app_prints_to_the_given_files(self, anywhere, tmp_path):
        out, err = tmp_path / "made" / "here" / "out", tmp_path / "err"
        anywhere.value(anywhere.python(speak, stdout=str(out), stderr=err))
        assert (out.read_text(), err.read_text()) == ("out\n", "err\n")

    def test_task_without_streams_is_not_captured(self, anywhere, tmp_path):
        anywhere.value(anywhere.python(speak, "mine", stdout=tmp_path / "out"))
        anywhere.value(anywhere.python(speak, "not mine"))
        assert (tmp_path / "out").read_text() == "mine\n"

    def test_concurrent_tasks_print_to_their_own_files(self, anywhere, tmp_path):
        tasks = [anywhere.python(speak, f"{n}", stdout=tmp_path / f"{n}") for n in range(20)]
        for task in tasks:
            anywhere.value(task)
        assert [(tmp_path / f"{n}").read_text() for n in range(20)] == [f"{n}\n" for n in range(20)]

    def test_output_of_child_processes_and_c_code_is_captured_in_a_worker_process(self, processes, tmp_path):
        processes.value(processes.python(speak_by_all_means, stdout=tmp_path / "out"))
        assert sorted((tmp_path / "out").read_text().split()) == ["c", "child", "descriptor", "python"]

    def test_file_is_appended_to_unless_a_mode_is_given(self, anywhere, tmp_path):
        out = str(tmp_path / "out")
        for words, stream in (("one", out), ("two", (out, "a")), ("three", out)):
            anywhere.value(anywhere.python(speak, words, stdout=stream))
        assert (tmp_path / "out").read_text() == "one\ntwo\nthree\n"
        anywhere.value(anywhere.python(speak, "four", stdout=(out, "w")))
        assert (tmp_path / "out").read_text() == "four\n"

    def test_both_streams_may_share_a_file(self, anywhere, tmp_path):
        both = (tmp_path / "both", "w")
        anywhere.value(anywhere.bash("echo out; echo err >&2", stdout=both, stderr=both))
        assert (tmp_path / "both").read_text() == "out\nerr\n"
        anywhere.value(anywhere.python(speak, stdout=both, stderr=both))
        assert sorted((tmp_path / "both").read_text().split()) == ["err", "out"]

    def test_command_prints_to_the_given_files(self, anywhere, tmp_path):
        anywhere.value(
            anywhere.bash("echo out; echo err >&2", stdout=tmp_path / "o", stderr=(str(tmp_path / "e"), "w"))
        )
        assert ((tmp_path / "o").read_text(), (tmp_path / "e").read_text()) == ("out\n", "err\n")

    def test_output_before_a_failure_is_kept(self, anywhere, tmp_path):
        def fails():
            print("before")
            raise ValueError("boom")

        assert isinstance(anywhere.error(anywhere.python(fails, stdout=tmp_path / "out")), ValueError)
        assert (tmp_path / "out").read_text() == "before\n"

    def test_error_of_a_command_quotes_its_own_stderr_and_not_that_of_an_earlier_one(self, anywhere, tmp_path):
        for words in ("first", "second"):
            error = anywhere.error(anywhere.bash(f"echo {words} >&2; exit 3", stderr=tmp_path / "err"))
            assert isinstance(error, BashExitFailure)
            assert error.stderr_tail == words

    @pytest.mark.parametrize("kind", ["python", "bash"])
    @pytest.mark.parametrize(
        ("stream", "message"),
        [
            (["out", "w"], "pass a path"),
            (("out",), "pass a path"),
            (("out", None), "pass a path"),
            ((42, "w"), "pass a path"),
            (("out", "w", "42"), "pass a path"),
            ("", "pass a path"),
            (("out", "bad mode"), "invalid mode"),
            (("out", "r"), "stderr="),
            ("/proc/nowhere/out", "stderr='/proc/nowhere/out'"),
            ("/proc", "stderr='/proc'"),
        ],
    )
    def test_error_names_a_stream_that_cannot_be_opened(self, anywhere, tmp_path, monkeypatch, kind, stream, message):
        monkeypatch.chdir(tmp_path)
        task = anywhere.bash("true", stderr=stream) if kind == "bash" else anywhere.python(speak, stderr=stream)
        error = anywhere.error(task)
        assert isinstance(error, BadStdStreamFile)
        assert "stderr=" in str(error)
        assert message in str(error)

    def test_stream_may_be_a_device(self, anywhere):
        assert anywhere.value(anywhere.bash("echo x; echo y >&2", stdout=os.devnull, stderr=os.devnull)) == 0

    def test_task_that_prints_can_be_stopped_and_its_worker_prints_to_its_own_stream(self, anywhere, tmp_path):
        def chatter():
            while True:
                print("x")

        assert anywhere.error(anywhere.python(chatter, stdout=tmp_path / "out", walltime=1.0)) is not None
        assert (tmp_path / "out").read_text().startswith("x\nx\n")
        size = (tmp_path / "out").stat().st_size
        anywhere.value(anywhere.python(speak))
        assert (tmp_path / "out").stat().st_size == size


class TestEnvironment:
    def test_command_sees_added_variables(self, anywhere, tmp_path):
        anywhere.value(anywhere.bash("echo $ADDED $HOME", env={"ADDED": "yes"}, stdout=tmp_path / "out"))
        assert (tmp_path / "out").read_text() == f"yes {os.environ['HOME']}\n"

    def test_python_app_sees_added_variables_and_the_next_does_not(self, one_process):
        assert one_process.value(one_process.python(variable, "ADDED", env={"ADDED": "yes"})) == "yes"
        assert one_process.value(one_process.python(variable, "ADDED")) is None

    def test_environment_is_restored_after_the_app_changed_it(self, one_process):
        def spoils():
            import os

            del os.environ["HOME"]
            raise ValueError

        assert isinstance(one_process.error(one_process.python(spoils, env={"HOME": "/x"})), ValueError)
        assert one_process.value(one_process.python(variable, "HOME")) == os.environ["HOME"]

    def test_thread_executor_refuses_it(self, threads):
        error = threads.error(threads.python(variable, "ADDED", env={"ADDED": "yes"}))
        assert isinstance(error, ConfigurationError)
        assert "env=" in str(error)
        assert "HighThroughputExecutor" in str(error)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Folder in which driver and workers start; relative paths begin there."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def copy(source, target):
    from pathlib import Path

    Path(target).write_text(Path(source).read_text())


class TestSandbox:
    def test_python_app_runs_in_a_fresh_folder_that_is_removed(self, home, one_process):
        first, second = (one_process.value(one_process.python(where, sandbox=True)) for _ in range(2))
        assert len({first, second, str(home)}) == 3
        assert not pathlib.Path(first).exists()
        assert one_process.value(one_process.python(where)) == str(home)

    def test_inputs_are_linked_in_and_outputs_moved_out(self, home, processes):
        (home / "data").mkdir()
        (home / "data" / "in.txt").write_text("content")
        options = {"sandbox": True, "inputs": ["data/in.txt"], "outputs": ["made/out.txt"]}
        processes.value(processes.python(copy, "in.txt", "made/out.txt", **options))
        assert (home / "made" / "out.txt").read_text() == "content"
        assert sorted(path.name for path in home.iterdir()) == ["data", "made"]

    def test_command_runs_in_a_fresh_folder(self, home, anywhere):
        (home / "in.txt").write_text("content")
        options = {"sandbox": True, "inputs": [home / "in.txt"], "outputs": ["out.txt"], "stdout": "log/pwd"}
        anywhere.value(anywhere.bash("pwd; cat in.txt > out.txt; touch scratch", **options))
        assert (home / "out.txt").read_text() == "content"
        folder = (home / "log" / "pwd").read_text().strip()
        assert folder != str(home)
        assert not pathlib.Path(folder).exists()
        assert not (home / "scratch").exists()

    def test_sandbox_is_removed_after_a_failure_and_no_output_moved(self, home, anywhere):
        command = "pwd; touch out.txt; mkdir locked; touch locked/x; chmod 500 locked; exit 1"
        error = anywhere.error(anywhere.bash(command, sandbox=True, outputs=["out.txt"], stdout="pwd"))
        assert isinstance(error, BashExitFailure)
        assert not (home / "out.txt").exists()
        assert not pathlib.Path((home / "pwd").read_text().strip()).exists()

    def test_sandbox_is_removed_when_the_task_is_stopped_or_its_worker_ends(self, home, one_process, until):
        def stays(path, deaf):
            import pathlib
            import signal

            if deaf:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            pathlib.Path(path).write_text(str(pathlib.Path.cwd()))
            while True:
                pass

        for deaf in (False, True):
            one_process.error(one_process.python(stays, str(home / "cwd"), deaf, sandbox=True, walltime=0.3))
            folder = pathlib.Path((home / "cwd").read_text())
            assert folder != home
            until(lambda folder=folder: not folder.exists())

    def test_error_names_a_missing_output(self, home, anywhere):
        error = anywhere.error(anywhere.bash("true", sandbox=True, outputs=["none.txt"]))
        assert isinstance(error, MissingOutputs)
        assert "none.txt" in str(error)
        assert list(home.iterdir()) == []

    def test_error_names_both_of_two_inputs_with_one_name(self, home, processes):
        error = processes.error(processes.python(where, sandbox=True, inputs=["a/x.txt", "b/x.txt"]))
        assert isinstance(error, ConfigurationError)
        assert "a/x.txt" in str(error)
        assert "b/x.txt" in str(error)

    def test_thread_executor_refuses_it(self, threads):
        error = threads.error(threads.python(where, sandbox=True))
        assert isinstance(error, ConfigurationError)
        assert "sandbox=True" in str(error)

"""Output of tasks in worker processes: whose it is, in the logs, on stderr and in `cnflow logs`."""

# ruff: noqa: T201 - tasks print

import pathlib
import re
import subprocess
import sys

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.errors import ConfigurationError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.run_logs.files import all_lines


@python_app
def say(*lines):
    for line in lines:
        print(line)


@python_app
def other_ways(word):
    """Print in ways that Python's own streams do not see, and as the last thing that the task does."""
    import os
    import subprocess

    if word.startswith("fork"):
        pid = os.fork()
        if not pid:
            os.write(2, word.encode() + b"\n")
            os._exit(0)
        os.waitpid(pid, 0)
    elif word.startswith("child"):
        subprocess.run(["echo", word], check=True)
    elif word.startswith("raw"):
        os.write(1, word.encode() + b"\n")
    elif word.startswith("open"):
        print(word, end="")


@bash_app
def shell(word):
    return f"echo {word}; echo {word} >&2"


def logs(run_dir, *arguments):
    command = [sys.executable, "-m", "cnflow.cli", "logs", *arguments, "--run", str(run_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_line_has_its_task_however_it_was_printed(tmp_path):
    words = {}
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=2)], run_dir=str(tmp_path))) as dfk:
        futures = []
        for number in range(25):
            for way in ("fork", "child", "raw", "open", "say", "shell"):
                word = f"{way}-{number}"
                app = {"say": say, "shell": shell}.get(way, other_ways)
                future = app(word)
                words[future.tid] = word
                futures.append(future)
        for future in futures:
            future.result(60)
        run_dir = pathlib.Path(dfk.run_dir)
    found = [re.fullmatch(rb"(\w+)\[(\d+)\] \| (.*)", line) for line in all_lines(run_dir / "htex/block-0.log")]
    printed = [(int(each[2]), each[3].decode()) for each in found if each]
    assert sorted(set(printed)) == sorted(words.items())
    assert len(printed) == len(words) + 25  # a shell prints twice


def test_stream_shows_tasks_on_stderr_and_keeps_their_order(tmp_path, capfd):
    config = Config(executors=[HighThroughputExecutor(max_workers=2)], run_dir=str(tmp_path), stream_logs=True)
    with cnflow.load(config):
        futures = [say(*(f"line {number}" for number in range(50))) for _ in range(4)]
        for future in futures:
            future.result(60)
    shown = capfd.readouterr().err.splitlines()
    for future in futures:
        own = [line for line in shown if line.startswith(f"say[{future.tid}] | ")]
        assert own == [f"say[{future.tid}] | line {number}" for number in range(50)]


def test_flood_keeps_the_logs_below_their_size_and_heartbeats_alive(tmp_path):
    executor = HighThroughputExecutor(max_workers=1, heartbeat_period=0.2, heartbeat_threshold=2.0)
    config = Config(executors=[executor], run_dir=str(tmp_path), log_size="2MB")

    @python_app
    def flood(seconds):
        import os
        import time

        line = b"x" * 999 + b"\n"
        end = time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            os.write(1, line * 64)
            count += 64
        return count

    with cnflow.load(config) as dfk:
        assert flood(3.0).result(60) > 5000
        assert say("afterwards").result(60) is None
    sizes = [file.stat().st_size for file in pathlib.Path(dfk.run_dir, "htex").glob("block-0.log*")]  # none is renamed
    assert len(sizes) == 2
    assert sum(sizes) < 2_000_000 + 2 * 300_000
    assert logs(dfk.run_dir, "1")[-1:] == ["say[1] | afterwards"]


def test_command_shows_a_task_a_block_and_the_list_of_a_run_that_has_ended(tmp_path):
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))) as dfk:
        say("one", "two").result(60)
        say().result(60)
        say("into a file", stdout=str(tmp_path / "own.txt")).result(60)
    assert logs(tmp_path, "0") == ["say[0] | one", "say[0] | two"]
    assert logs(dfk.run_dir, "0", "-n", "1") == ["say[0] | two"]
    assert "say[0] | two" in logs(tmp_path, "htex/0") == logs(tmp_path, "htex")
    assert "it printed nothing" in logs(tmp_path, "1")[0]
    assert logs(tmp_path, "2") == ["stdout | into a file"]
    assert [line.split()[0] for line in logs(tmp_path)] == ["log", "htex/0", "htex/interchange"]


def test_command_names_the_logs_that_there_are(tmp_path):
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))):
        say("x").result(60)
    command = [sys.executable, "-m", "cnflow.cli", "logs", "htex/7", "--run", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode
    assert "No log of a task or block is called 'htex/7'" in done.stderr
    assert "Known: htex/0, htex/interchange" in done.stderr


def test_command_follows_a_task_until_it_ends(tmp_path):
    executors = [HighThroughputExecutor(max_workers=1), ThreadPoolExecutor(max_threads=1)]
    go = tmp_path / "go"

    @python_app(executors="htex")
    def wait(path):
        import pathlib
        import time

        print("begins")
        while not pathlib.Path(path).exists():
            time.sleep(0.02)
        print("ends")

    @python_app(executors="threads")
    def in_thread(path):
        import pathlib
        import time

        while not pathlib.Path(path).exists():
            time.sleep(0.02)

    with cnflow.load(Config(executors=executors, run_dir=str(tmp_path))) as dfk:
        task, other = wait(str(go)), in_thread(str(go))
        command = [sys.executable, "-m", "cnflow.cli", "logs", "0", "--follow", "--run", dfk.run_dir]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as follower:
            assert follower.stdout.readline() == "wait[0] | begins\n"
            of_thread = logs(dfk.run_dir, "1")
            go.touch()
            task.result(60)
            other.result(60)
            assert follower.stdout.readlines() == ["wait[0] | ends\n"]
    assert of_thread == ["Task 1 (in_thread) runs in the driver: what it prints is among the script's own output."]


@pytest.mark.parametrize("size", ["10kB", 0])
def test_log_size_that_holds_nothing_is_refused(size):
    with pytest.raises(ConfigurationError, match="log_size"):
        Config(log_size=size)

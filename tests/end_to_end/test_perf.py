"""`cnflow perf` from the command line."""

import os
import pty
import re
import subprocess
import sys

import pytest

THREADS = '[[executors]]\nkind = "threads"\n'
PROCESSES = '[[executors]]\nkind = "high_throughput"\nmax_workers = 1\n'
FRESH = "from cnflow import Config\ndef fresh_config():\n    return Config()\n"
BATCH = re.compile(
    r"==== Iteration (\d+) ====\nWill run (\d+) tasks\nSubmission took [\d.]+ seconds = [\d.]+ tasks/second\n"
    r"Runtime: actual [\d.]+s vs target [\d.]+s\nTasks per second: [\d.]+\n"
)


@pytest.fixture
def perf(tmp_path):
    def run(name, text, *options, **more):
        (tmp_path / name).write_text(text)
        command = [sys.executable, "-m", "cnflow.cli", "perf", "--config", name, *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100, **more)

    return run


@pytest.mark.parametrize(("name", "text"), [("c.toml", THREADS), ("c.toml", PROCESSES), ("c.py", FRESH)])
def test_requested_batches_are_run_and_measured(perf, name, text):
    done = perf(name, text, "--iterate", "3,20", "--argsize", "100", "--resultsize", "100")
    assert (done.returncode, done.stderr) == (0, "")
    assert BATCH.findall(done.stdout) == [("1", "3"), ("2", "20")]


def test_batches_grow_until_one_is_long_enough(perf):
    done = perf("c.toml", THREADS, "--time", "0.05")
    assert done.returncode == 0, done.stderr
    assert len(BATCH.findall(done.stdout)) >= 2


def test_error_in_a_configuration_is_printed_as_one_sentence(perf):
    done = perf("c.toml", "retires = 1")
    assert done.returncode == 2
    assert done.stderr.startswith("c.toml: Config has no option 'retires'. Did you mean 'retries'?")
    assert "Traceback" not in done.stderr


def test_progress_of_a_batch_is_shown_on_a_terminal_unless_quiet(tmp_path):
    assert "tasks: " in terminal_output(tmp_path)
    assert "tasks: " not in terminal_output(tmp_path, "--quiet")


def terminal_output(tmp_path, *options):
    """Return the output on a terminal that only stderr is connected to."""
    (tmp_path / "c.toml").write_text(THREADS)
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "cnflow.cli", "perf", "--config", "c.toml", "--iterate", "5", *options]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=terminal, env=environment
    ) as process:
        os.close(terminal)
        said = b""
        while chunk := read_terminal(master):
            said += chunk
    os.close(master)
    assert process.returncode == 0, said
    return said.decode()


def read_terminal(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # raised by Linux once the other end is closed
        return b""

"""An interchange that is reached through a command, whose connection breaks; `sh` stands for ssh."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cnflow import File, python_app
from cnflow.capsule import driver_root
from cnflow.errors import InterchangeLostError
from cnflow.executors import Listen
from cnflow.staging import BuiltInStaging

MAIN = driver_root() / "cnflow" / "interchange" / "__main__.py"


class Elsewhere:
    """The other machine: a folder of this one. Processes are found by its name in their command lines."""

    def __init__(self, folder, processes):
        self.folder = folder
        self._processes = processes

    def command(self, before="", python=sys.executable, main=MAIN):
        words = shlex.join(["exec", python, str(main), "--attach", str(self.folder)])
        return ["sh", "-c", f"{before} {words}"]

    def relays(self):
        return self._with("--attach")

    def interchanges(self):
        return self._with("--listen")

    def cut(self):
        """Kill the relays, and with them the connection; return those that were killed."""
        cut = []
        for pid in self.relays():
            with contextlib.suppress(ProcessLookupError):  # one that was killed before has just ended
                os.kill(pid, signal.SIGKILL)
                cut.append(pid)
        return cut

    def _with(self, option):
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes().decode().split("\0")
                    is_here = any(word.startswith(str(self.folder)) for word in words)
                    if option in words and is_here and self._processes.is_running(int(entry.name)):
                        found.append(int(entry.name))
        return found


@pytest.fixture
def elsewhere(tmp_path, processes):
    found = Elsewhere(tmp_path / "elsewhere", processes)
    yield found
    deadline = time.monotonic() + 10  # an interchange closes its connection before its own end
    while (left := found.relays() + found.interchanges()) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes are left behind"


@pytest.fixture
def load_elsewhere(load, elsewhere):
    def make(**settings):
        return load(**{"interchange_command": elsewhere.command(), "address": "127.0.0.1", **settings})

    return make


def test_tasks_run_through_a_command_and_nothing_is_left(load_elsewhere, elsewhere, ledger, until):
    with load_elsewhere():
        assert [future.result(30)[0] for future in [ledger.app(n, 0) for n in range(50)]] == list(range(50))
        assert len(elsewhere.interchanges()) == len(elsewhere.relays()) == 1
    until(lambda: not elsewhere.interchanges(), 5)
    assert not [entry for entry in elsewhere.folder.iterdir() if entry.is_dir()]


def test_managers_that_listen_are_reached_by_an_interchange_elsewhere(load_elsewhere, ledger):
    with load_elsewhere(way=Listen(), address=None):
        assert [future.result(30)[0] for future in [ledger.app(n, 0) for n in range(20)]] == list(range(20))


def test_words_of_a_login_before_the_messages_are_ignored(load_elsewhere, elsewhere, ledger):
    with load_elsewhere(interchange_command=elsewhere.command("echo Welcome to login1; echo;")):
        assert ledger.app(1, 0).result(30)[0] == 1


def test_command_that_fails_is_quoted(load_elsewhere, ledger):
    command = ["sh", "-c", "echo 'ssh: Could not resolve hostname login1' >&2; exit 255"]
    with load_elsewhere(interchange_command=command):
        error = ledger.app(1, 0).exception(30)
    assert isinstance(error, InterchangeLostError)
    assert "exited with code 255" in str(error)
    assert "Could not resolve hostname login1" in str(error)


def test_command_whose_program_is_missing_is_named_with_advice(load_elsewhere, ledger):
    with load_elsewhere(interchange_command=["nosuchssh", "login1"]):
        error = ledger.app(1, 0).exception(30)
    assert isinstance(error, InterchangeLostError)
    assert "'nosuchssh', the first word of interchange_command, cannot be run here" in str(error)


@pytest.mark.timeout(180)
def test_connection_that_is_cut_each_second_loses_and_doubles_nothing(load_elsewhere, elsewhere, ledger):
    with load_elsewhere(blocks=2, heartbeat_period=2, heartbeat_threshold=8):
        ledger.app(-1, 0).result(30)
        interchange = elsewhere.interchanges()
        is_over, cuts = threading.Event(), []

        def cut():
            while not is_over.wait(1):
                cuts.extend(elsewhere.cut())

        cutter = threading.Thread(target=cut)
        cutter.start()
        try:
            futures, deadline = [], time.monotonic() + 12
            while time.monotonic() < deadline:
                futures += [ledger.app(len(futures) + n, 0.002) for n in range(20)]
                futures[-10].result(30)
            assert [future.result(60)[0] for future in futures] == list(range(len(futures)))
        finally:
            is_over.set()
            cutter.join()
        assert len(cuts) > 5
        assert elsewhere.interchanges() == interchange
    assert ledger.runs() == dict.fromkeys(range(-1, len(futures)), 1)


@pytest.mark.timeout(180)
def test_large_messages_pass_a_connection_that_is_cut(load_elsewhere, elsewhere):
    import cnflow

    @cnflow.python_app
    def double(data):
        return data + data

    with load_elsewhere(heartbeat_period=2, heartbeat_threshold=8):
        assert double(b"x").result(30) == b"xx"
        futures = [double(bytes([n]) * 3_000_000) for n in range(20)]
        for _ in range(3):
            time.sleep(0.3)
            elsewhere.cut()
        assert [future.result(150) for future in futures] == [bytes([n]) * 6_000_000 for n in range(20)]


def test_results_that_were_ready_while_the_connection_was_cut_arrive(load_elsewhere, elsewhere, ledger, tmp_path):
    """The command fails while the file *broken* is there."""
    broken = tmp_path / "broken"
    command = elsewhere.command(f"test ! -e {shlex.quote(str(broken))} ||  exit 255;")
    with load_elsewhere(interchange_command=command, heartbeat_period=2, heartbeat_threshold=8):
        ledger.app(0, 0).result(30)
        futures = [ledger.app(n, 0.2) for n in range(1, 6)]
        time.sleep(0.1)
        broken.touch()
        elsewhere.cut()
        time.sleep(2)
        late = ledger.app(6, 0)
        assert not late.done()
        broken.unlink()
        assert [future.result(30)[0] for future in [*futures, late]] == [1, 2, 3, 4, 5, 6]
    assert ledger.runs() == dict.fromkeys(range(7), 1)


def test_frozen_interchange_elsewhere_is_replaced(load_elsewhere, elsewhere, ledger):
    with load_elsewhere(heartbeat_period=3, heartbeat_threshold=12):
        _, _, manager = ledger.app(0, 0).result(30)
        futures = [ledger.app(n, 0.5) for n in range(1, 6)]
        (frozen,) = elsewhere.interchanges()
        os.kill(frozen, signal.SIGSTOP)
        assert [future.result(60)[::2] for future in futures] == [(n, manager) for n in range(1, 6)]
        assert elsewhere.interchanges() != [frozen]
    assert ledger.runs() == dict.fromkeys(range(6), 1)


def test_interchange_elsewhere_that_is_killed_is_started_anew(load_elsewhere, elsewhere, ledger):
    with load_elsewhere(heartbeat_period=2, heartbeat_threshold=8):
        _, _, manager = ledger.app(0, 0).result(30)
        futures = [ledger.app(n, 0.3) for n in range(1, 6)]
        (killed,) = elsewhere.interchanges()
        os.kill(killed, signal.SIGKILL)
        assert [future.result(60)[::2] for future in futures] == [(n, manager) for n in range(1, 6)]
    assert ledger.runs() == dict.fromkeys(range(6), 1)


def test_connection_that_cannot_be_made_again_loses_the_interchange_after_the_grace(
    load_elsewhere, elsewhere, ledger, tmp_path, until
):
    broken = tmp_path / "broken"
    command = elsewhere.command(f"test ! -e {shlex.quote(str(broken))} ||  exit 255;")
    with load_elsewhere(interchange_command=command, interchange_grace=2):
        ledger.app(0, 0).result(30)
        waiting = ledger.app(1, 60)
        broken.touch()
        elsewhere.cut()
        with pytest.raises(InterchangeLostError, match="exited with code 255"):
            waiting.result(30)
        until(lambda: not elsewhere.interchanges())


def test_end_of_a_run_whose_connection_was_just_cut_stops_the_interchange(load_elsewhere, elsewhere, ledger, until):
    with load_elsewhere():
        ledger.app(0, 0).result(30)
        elsewhere.cut()
    until(lambda: not elsewhere.interchanges(), 5)


SCRIPT = """\
import json, sys, time
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

@python_app
def nap(seconds):
    import os, time
    time.sleep(seconds)
    return os.getpid(), os.getppid()

executor = HighThroughputExecutor(
    provider=LocalProvider(), max_workers=1, heartbeat_period=0.5, heartbeat_threshold=2, address="127.0.0.1",
    interchange_command=json.loads(sys.argv[1]), interchange_grace=3,
)
with cnflow.load(Config(executors=[executor])):
    print(*nap(0).result(), flush=True)
    nap(600).result()
"""


def test_killed_driver_leaves_no_process_after_the_grace(elsewhere, tmp_path, processes, until):
    import json

    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    driver = subprocess.Popen(
        [sys.executable, str(script), json.dumps(elsewhere.command())], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    with driver:
        family = [int(pid) for pid in driver.stdout.readline().split()]
        assert elsewhere.interchanges()
        driver.kill()
    until(lambda: not elsewhere.relays())
    until(lambda: not elsewhere.interchanges())
    until(lambda: not any(processes.is_running(pid) for pid in family))


def test_files_travel_through_an_interchange_elsewhere_while_its_connection_breaks(
    load_elsewhere, elsewhere, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    data = os.urandom(10**6) * 64
    (tmp_path / "in").write_bytes(data)
    (tmp_path / "node").mkdir()
    with load_elsewhere(storage_access=[BuiltInStaging()], working_dir=str(tmp_path / "node")):
        assert turned(File("in")).result(60) == len(data)
        future = turned(File("in"), outputs=[File("out")])
        broken = 0
        while not future.done():
            broken += len(elsewhere.cut())
            time.sleep(0.5)
        assert future.result() == len(data)
        assert broken
    assert (tmp_path / "out").read_bytes() == data[::-1]
    assert not list(tmp_path.rglob("*.part"))


@python_app
def turned(path, outputs=()):
    """Write the input's bytes, the last first, to the outputs."""
    with open(path, "rb") as source:  # noqa: PTH123 - a task's body imports what it needs
        data = source.read()
    for output in outputs:
        with open(output, "wb") as target:  # noqa: PTH123
            target.write(data[::-1])
    return len(data)

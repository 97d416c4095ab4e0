"""Runs whose driver is killed and that another driver takes over."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
import dataclasses, os, sys, time
import cnflow
from cnflow import Config, python_app
from cnflow.executors import DialIn, HighThroughputExecutor, Listen
from cnflow.providers import LocalProvider

@dataclasses.dataclass
class Square:
    of: int
    value: int

WORDS = {"one", "two", "three"}  # its order is another in each process

kind = os.environ.get("KIND", "cached")
size = int(os.environ.get("SIZE", "3000000"))

def value_of(number):
    if kind == "large":
        return bytes([number]) * size
    return Square(number, number * number) if kind == "class" else (number, number * number)

@python_app(cache=kind == "cached")
def work(number, path, seconds, data=b""):
    import os, time
    assert "one" in WORDS
    with open(f"{path}/began", "a") as file:
        file.write(f"{number} {os.getppid()}\\n")
    time.sleep(seconds)
    with open(f"{path}/ended", "a") as file:
        file.write(f"{number}\\n")
    return value_of(number)

def data(number):
    return bytearray([number]) * 3_000_000 if kind == "large" else b""

count, path, grace, *rest = sys.argv[1:]
adopt = rest[0] if rest else None
provider = LocalProvider(init_blocks=2, max_blocks=2)
executor = HighThroughputExecutor(
    provider=provider, max_workers=2, cores_per_worker=0.1, prefetch=0, encrypted=True,
    heartbeat_period=0.5, heartbeat_threshold=2, address=os.environ.get("ADDRESS"),
    way=Listen() if "LISTEN" in os.environ else DialIn(),
)
config = Config(executors=[executor], adoptable_for=float(grace), checkpoint_mode="task_exit", initialize_logging=True)
with cnflow.load(config, adopt=adopt) as dfk:
    seconds = float(os.environ.get("SECONDS", "0.4"))
    futures = [work(number, path, seconds, data(number)) for number in range(int(count))]
    print("submitted", dfk.run_dir, flush=True)
    for number, future in enumerate(futures):
        assert future.result() == value_of(number)  # also the script's own class
        print("done", number, flush=True)
print("all", flush=True)
"""


class Run:
    """Drivers of one run, in a folder of their own."""

    def __init__(self, folder, processes, until):
        self.folder = folder
        self.processes = processes
        self.until = until
        self.drivers = []
        (folder / "script.py").write_text(SCRIPT)

    def start(self, count=40, grace=60, adopt=None, **environment):
        arguments = [sys.executable, "script.py", str(count), str(self.folder), str(grace), *([adopt] if adopt else [])]
        driver = subprocess.Popen(
            arguments,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.folder), **environment},
        )
        self.drivers.append(driver)
        return driver

    def lines(self, name):
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def began(self):
        return [int(line.split()[0]) for line in self.lines("began")]

    def ended(self):
        return [int(line) for line in self.lines("ended")]

    def managers(self):
        return {int(line.split()[1]) for line in self.lines("began")}

    def kill(self, driver):
        """Kill *driver* and wait until the tasks have ended that ran at that moment."""
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        self.until(lambda: sorted(self.began()) == sorted(self.ended()))

    def finish(self, driver):
        output, errors = driver.communicate(timeout=60)
        assert driver.returncode == 0, errors + self.log()
        assert output.splitlines()[-1] == "all"

    def interchange(self, driver):
        """Process id of the interchange of *driver*."""
        children, command = self.processes.children, self.processes.command
        return self.until(
            lambda: next((pid for pid in children(driver.pid) if "cnflow.interchange" in command(pid)), 0)
        )

    def log(self):
        return "".join(file.read_text() for file in sorted(self.folder.glob("runinfo/*/**/*.log")))

    def leftovers(self):
        own = f"TMPDIR={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self.processes.is_running(int(entry.name)):
                try:
                    if own in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


def resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def run(tmp_path, processes, until):
    made = Run(tmp_path, processes, until)
    yield made
    for driver in made.drivers:
        driver.kill()
        driver.wait()
        driver.stdout.close()
        driver.stderr.close()
    for pid in made.leftovers():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "environment",
    [{}, pytest.param({"ADDRESS": "127.0.0.1"}, marks=pytest.mark.long), {"LISTEN": "1"}],
    ids=["socket file", "tcp", "managers listen"],
)
def test_a_second_and_a_third_driver_take_over_blocks_and_tasks_and_each_task_runs_once(run, environment):
    first = run.start(**environment)
    run.until(lambda: len(run.ended()) >= 8)
    run.kill(first)
    managers = run.managers()
    assert len(managers) == 2
    unheard = set(run.ended())
    second = run.start(adopt="runinfo/000", **environment)
    run.until(lambda: len(run.ended()) >= 20)
    run.kill(second)
    third = run.start(adopt="runinfo/000", **environment)
    run.finish(third)
    assert sorted(run.began()) == list(range(40)), "a task ran twice, or never"
    assert run.managers() == managers, "blocks were started anew"
    assert unheard <= set(run.ended())
    run.until(lambda: not run.leftovers())
    assert not (run.folder / "runinfo/000/ledger").exists()
    assert not [entry.name for entry in run.folder.iterdir() if entry.name.startswith("cnflow-")]


def test_large_arguments_and_results_are_right_after_a_takeover_and_each_task_runs_once(run):
    environment = {"KIND": "large", "SECONDS": "1.5"}
    first = run.start(4, **environment)
    run.until(lambda: len(run.began()) >= 2)  # others may wait for their arguments; none has ended
    assert not run.ended()
    run.kill(first)
    run.finish(run.start(4, adopt="runinfo/000", **environment))
    assert sorted(run.began()) == [0, 1, 2, 3]


def test_a_large_result_that_the_killed_driver_had_announced_and_not_fetched_is_there(run):
    environment = {"KIND": "large", "SECONDS": "2", "SIZE": "150000000"}
    first = run.start(1, **environment)
    run.until(run.began)
    before = resident_bytes(first.pid)
    run.until(lambda: resident_bytes(first.pid) > before + 10_000_000)  # a small part has arrived
    first.send_signal(signal.SIGSTOP)
    assert resident_bytes(first.pid) < before + 120_000_000, "all of it has arrived"
    run.kill(first)
    run.finish(run.start(1, adopt="runinfo/000", **environment))
    assert run.began() == [0]


def test_results_that_nobody_heard_have_the_classes_of_the_script(run):
    environment = {"KIND": "class"}
    first = run.start(4, **environment)  # as many as there are workers
    run.until(lambda: len(run.began()) == 4)
    run.kill(first)
    run.finish(run.start(4, adopt="runinfo/000", **environment))
    assert sorted(run.began()) == [0, 1, 2, 3]


def test_tasks_whose_results_the_killed_driver_had_received_have_results_again(run):
    environment = {"KIND": "class", "SECONDS": "1"}
    first = run.start(5, **environment)  # the manager without the fifth sends nothing after its results
    while "done 3" not in first.stdout.readline():
        assert first.poll() is None
    run.kill(first)
    run.finish(run.start(5, adopt="runinfo/000", **environment))
    assert set(run.ended()) == set(range(5))  # again, or from where they are kept until the driver acknowledges them


def test_tasks_of_a_block_that_died_meanwhile_run_again_and_the_others_do_not(run):
    first = run.start(4, SECONDS="3")
    run.until(lambda: len(run.began()) == 4)
    first.kill()
    first.communicate()
    managers = sorted(run.managers())
    dead = [int(line.split()[0]) for line in run.lines("began") if int(line.split()[1]) == managers[0]]
    os.kill(managers[0], signal.SIGKILL)
    run.finish(run.start(4, adopt="runinfo/000", SECONDS="3"))
    assert sorted(run.began()) == sorted([0, 1, 2, 3, *dead])
    run.until(lambda: not run.leftovers())


def test_tasks_that_were_taken_over_survive_the_death_of_the_next_interchange(run):
    first = run.start(4, SECONDS="4")
    run.until(lambda: len(run.began()) == 4)
    os.kill(run.interchange(first), signal.SIGSTOP)  # it cannot say a word to the managers
    first.kill()
    first.communicate()
    second = run.start(4, adopt="runinfo/000", SECONDS="4")
    run.until(lambda: "4 tasks of the killed driver are found" in run.log())
    os.kill(run.interchange(second), signal.SIGKILL)
    run.finish(second)
    assert sorted(run.began()) == [0, 1, 2, 3]


def test_managers_that_nobody_takes_over_end_by_themselves_and_a_late_driver_starts_anew(run):
    first = run.start(grace=3)
    run.until(lambda: len(run.ended()) >= 4)
    run.kill(first)
    assert all(run.processes.is_running(pid) for pid in run.managers())
    before = run.managers()
    run.until(lambda: not run.leftovers())
    assert not [entry.name for entry in run.folder.iterdir() if entry.name.startswith("cnflow-")]
    run.finish(run.start(adopt="runinfo/000"))
    assert set(run.ended()) == set(range(40))
    assert before.isdisjoint({int(line.split()[1]) for line in run.lines("began")[len(run.lines("began")) - 4 :]})


def test_a_run_whose_driver_lives_is_not_taken_over(run):
    first = run.start(SECONDS="1")
    run.until(run.began)
    second = run.start(adopt="runinfo/000")
    _, errors = second.communicate(timeout=60)
    assert f"The driver of the run in {run.folder}/runinfo/000 lives: process {first.pid} on" in errors
    run.finish(first)

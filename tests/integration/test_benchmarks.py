"""Machinery of the benchmarks, with little work; no test checks a speed."""

import json
import subprocess
import sys

import pytest

from benchmarks.functions import echo, shell
from benchmarks.scale.simulation import Plan, simulate
from benchmarks.systems.floor import Floor

RUN = """
import json, sys
from benchmarks import work
from benchmarks.runner import Runner
from benchmarks.work import WORKS, Sizes, Work
WORKS["trip"] = Work(work.trip, float(sys.argv[1]))
sizes = Sizes(trips=int(sys.argv[2]), memory=50, budget=5.0)
print(json.dumps(list(Runner(sys.executable).run("floor", sys.argv[3:], sizes))))
"""


@pytest.fixture
def floor():
    system = Floor()
    system.start()
    yield system
    system.stop()


def test_floor_returns_values_of_any_size(floor):
    app = floor.app(echo)
    values = [b"x" * size for size in (0, 1, 60_000, 65_536, 262_100, 262_144, 3_000_000)] * 3
    values += [bytearray(10), list(range(100_000)), None]
    assert floor.results([app(value) for value in values]) == values


def test_floor_keeps_the_order_of_results(floor):
    app = floor.app(echo)
    assert floor.results([app(n) for n in range(2_345)]) == list(range(2_345))


def test_floor_runs_shell_commands(floor):
    assert floor.results([floor.bash("true")() for _ in range(3)]) == [0, 0, 0]
    assert shell() == 0


def run(limit, trips, *works):
    """Run *works* in a child process, because a runner ends all descendants of its process; return the outcomes."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(limit), str(trips), *works], capture_output=True, text=True, check=True
    )
    return {work: (figures, problem) for work, figures, problem in json.loads(done.stdout)}


def test_runner_starts_and_stops_a_system_around_its_works():
    outcomes = run(60, 20, "trip", "chain", "memory")
    assert list(outcomes) == ["first", "trip", "chain", "memory", "stop"]
    assert outcomes["trip"][0]["n"] == 20
    assert outcomes["chain"] == ({}, "not applicable: results are not passed from task to task")
    assert outcomes["memory"][0]["n"] == 50


def test_runner_gives_up_a_work_that_hangs_and_runs_the_next():
    outcomes = run(0.0, 10_000, "trip", "memory")
    assert outcomes["trip"][0] == {}
    assert outcomes["trip"][1].startswith("no answer within 0 s")
    assert outcomes["memory"][0]["n"] == 50


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_simulated_managers_finish_every_task_once(encrypted):
    row = simulate(5, Plan(tasks=3_000, slots=4, window=8, period=0.2, encrypted=encrypted))
    assert (row.managers, row.tasks) == (5, 3_000)
    assert row.idle_mb > 0

"""The benchmarks' own machinery, with little work; none of these looks at how fast anything is."""

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


def test_the_floor_gives_back_what_it_was_given_whatever_the_size(floor):
    app = floor.app(echo)
    values = [b"x" * size for size in (0, 1, 60_000, 65_536, 262_100, 262_144, 3_000_000)] * 3
    values += [bytearray(10), list(range(100_000)), None]
    assert floor.results([app(value) for value in values]) == values


def test_the_floor_keeps_order_over_many_batches(floor):
    app = floor.app(echo)
    assert floor.results([app(n) for n in range(2_345)]) == list(range(2_345))


def test_the_floor_runs_the_shell(floor):
    assert floor.results([floor.bash("true")() for _ in range(3)]) == [0, 0, 0]
    assert shell() == 0


def run(limit, trips, *works):
    """Outcomes; in a process of its own, since a runner ends everything that comes from its process."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(limit), str(trips), *works], capture_output=True, text=True, check=True
    )
    return {work: (figures, problem) for work, figures, problem in json.loads(done.stdout)}


def test_a_system_is_started_used_and_stopped_in_a_process_of_its_own():
    outcomes = run(60, 20, "trip", "chain", "memory")
    assert list(outcomes) == ["first", "trip", "chain", "memory", "stop"]
    assert outcomes["trip"][0]["n"] == 20
    assert outcomes["chain"] == ({}, "not applicable: results are not passed from task to task")
    assert outcomes["memory"][0]["n"] == 50


def test_a_work_that_hangs_is_given_up_and_the_next_is_done():
    outcomes = run(0.0, 10_000, "trip", "memory")
    assert outcomes["trip"][0] == {}
    assert outcomes["trip"][1].startswith("no answer within 0 s")
    assert outcomes["memory"][0]["n"] == 50


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_simulated_managers_end_every_task_once(encrypted):
    row = simulate(5, Plan(tasks=3_000, slots=4, window=8, period=0.2, encrypted=encrypted))
    assert (row.managers, row.tasks) == (5, 3_000)
    assert row.idle_mb > 0

"""Runs whose blocks are jobs of PBS Professional's stand-in, which really runs them."""

import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

import cnflow
from cnflow import python_app
from cnflow.config import Config, HighThroughputExecutor
from cnflow.errors import CnflowError
from cnflow.providers import PBSProProvider
from tests.standins import pbspro
from tests.standins.scheduler import ENDED, Standin

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def standin(monkeypatch):
    """The stand-in, whose commands come first in PATH."""
    with tempfile.TemporaryDirectory(prefix="cnflow-pbs-") as folder:
        started = Standin(Path(folder) / "s", Path(pbspro.__file__), ["qsub", "qstat", "qdel", "qselect"])
        monkeypatch.setenv("PATH", str(started.bin), prepend=":")
        yield started
        started.close()


@pytest.fixture
def name():
    """Label of the executor, by which its jobs are known."""
    return f"x{uuid.uuid4().hex[:8]}"


@pytest.fixture
def run(tmp_path, name):
    """Makes the Config of a run with one executor: ``run(executor={...}, **options of the provider)``."""

    def make(*, executor=None, config=None, **options):
        defaults = {"site_dir": str(tmp_path / "site"), "poll_period": 1, "walltime": 900}
        provider = PBSProProvider(**{**defaults, **options})
        htex = HighThroughputExecutor(label=name, max_workers=1, provider=provider, **(executor or {}))
        return Config(executors=[htex], run_dir=str(tmp_path / "runinfo"), **(config or {}))

    return make


def left(standin):
    """Jobs that have not ended."""
    return [job for job in standin.jobs() if job.state != ENDED]


@python_app
def job():
    import os

    return os.environ["PBS_JOBID"], Path(os.environ["PBS_NODEFILE"]).read_text().split()


@python_app
def slow_job(folder):
    import os
    import time
    from pathlib import Path

    is_first = not list(Path(folder).glob("begun*"))
    (Path(folder) / f"begun-{os.environ['PBS_JOBID']}").touch()
    time.sleep(60 if is_first else 0)
    return os.environ["PBS_JOBID"]


def test_blocks_that_start_together_are_one_array_and_end_with_the_run(run, name, standin, until):
    with cnflow.load(run(init_blocks=3, max_blocks=3)) as dfk:
        until(lambda: dfk.executors[name].connected_workers == 3, timeout=100.0)
        native, _ = job().result()
        assert native in {f"1001[{index}].standin" for index in range(3)}
        assert [(each.number, each.index) for each in standin.jobs()] == [(1001, 0), (1001, 1), (1001, 2)]
    until(lambda: left(standin) == [], timeout=30.0)


def test_nodes_and_their_parts_are_asked_for(run, standin):
    options = {"cpus_per_node": 4, "queue": "workq", "account": "physics", "select_options": "mem=1gb"}
    with cnflow.load(run(nodes_per_block=2, launcher={"kind": "simple"}, **options)):
        assert job().result()[1] == ["node1", "node2"]
    made = standin.jobs()[0]
    assert (made.nodes, made.cpus, made.account, made.queue) == (2, 4, "physics", "workq")
    assert made.options["select"] == "2:ncpus=4:mem=1gb"


BAD = {
    "queue": ({"queue": "nope"}, "qstat -Q"),
    "account": ({"account": "nope"}, "Set account"),
    "walltime above the limit": ({"queue": "short", "walltime": 3600}, "walltime"),
    "more nodes than there are": ({"nodes_per_block": 40, "launcher": {"kind": "simple"}}, "can never run"),
    "a command that is not there": ({"worker_init": "echo begins\nno-such-command --x"}, "no-such-command"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_with_what_to_do_and_leaves_no_job(run, standin, case, until):
    options, words = BAD[case]
    with cnflow.load(run(**options)):
        error = job().exception(timeout=200)
    assert isinstance(error, CnflowError)
    assert words in str(error)
    until(lambda: left(standin) == [], timeout=30.0)


def test_the_reason_for_waiting_is_explained(run, standin, until):
    with cnflow.load(run(scheduler_options="#PBS -h")) as dfk:
        future = job()
        until(lambda: "qrls" in dfk.explain(future.tid), timeout=100.0)
        future.cancel()
    until(lambda: left(standin) == [], timeout=30.0)


def test_a_cancelled_job_is_noticed_and_its_task_runs_elsewhere(run, standin, tmp_path, until):
    """PBS sends SIGTERM before it kills: the manager returns its task, which uses no retry."""
    with cnflow.load(run(config={"retries": 0}, executor={"grace_period": 1})):
        future = slow_job(str(tmp_path))
        until(lambda: list(tmp_path.glob("begun-*")), timeout=100.0)
        first = next(iter(tmp_path.glob("begun-*"))).name
        subprocess.run(["qdel", first.removeprefix("begun-")], check=True, capture_output=True)
        assert f"begun-{future.result(timeout=200)}" != first
    until(lambda: left(standin) == [], timeout=30.0)


def test_a_server_that_is_away_for_a_while_costs_nothing(run, name, standin, until):
    with cnflow.load(run()) as dfk:
        native, _ = job().result()
        standin.stop_answering()
        until(lambda: dfk.executors[name].connected_workers == 1, timeout=10.0)
        assert job().result()[0] == native
        standin.answer_again()
        assert job().result()[0] == native
    until(lambda: left(standin) == [], timeout=30.0)

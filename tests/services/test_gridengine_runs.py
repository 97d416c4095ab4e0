"""Runs whose blocks are jobs of a real Grid Engine: arrays, the notice before an end, bad input, deleted jobs."""

import subprocess
import time
import uuid

import pytest

import cnflow
from cnflow import Image, python_app
from cnflow.config import Config, HighThroughputExecutor
from cnflow.errors import CnflowError
from cnflow.providers import GridEngineProvider
from tests.conftest import GRID_ENGINE

pytestmark = [pytest.mark.gridengine, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _site(monkeypatch):
    for name, value in GRID_ENGINE.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def name():
    """Label of the executor, by which its jobs are known."""
    return f"x{uuid.uuid4().hex[:8]}"


@pytest.fixture
def run(tmp_path, name):
    """Makes the Config of a run with one executor: ``run(executor={...}, **options of the provider)``."""

    def make(*, executor=None, config=None, **options):
        defaults = {"site_dir": str(tmp_path / "site"), "queue": "all.q", "poll_period": 1, "walltime": 900}
        provider = GridEngineProvider(**{**defaults, **options})
        htex = HighThroughputExecutor(label=name, max_workers=1, provider=provider, **(executor or {}))
        return Config(executors=[htex], run_dir=str(tmp_path / "runinfo"), **(config or {}))

    return make


def jobs(name):
    """Ids of the jobs and elements of executor *name* that have not ended."""
    listed = subprocess.run(["qstat", "-xml", "-g", "d"], capture_output=True, text=True, check=True).stdout
    rows = [row.partition("</job_list>")[0] for row in listed.split("<job_list")[1:]]
    mine = [row for row in rows if f"-{name}-" in row]
    return [row.partition("<JB_job_number>")[2].partition("<")[0] for row in mine]


@python_app
def job():
    import os

    return os.environ["JOB_ID"], os.environ["SGE_TASK_ID"], os.environ["QUEUE"]


@python_app
def slow_job(folder):
    import os
    import time
    from pathlib import Path

    is_first = not list(Path(folder).glob("begun*"))
    (Path(folder) / f"begun-{os.environ['JOB_ID']}").touch()
    time.sleep(60 if is_first else 0)
    return os.environ["JOB_ID"]


def test_blocks_that_start_together_are_one_array_and_end_with_the_run(run, name, until):
    with cnflow.load(run(init_blocks=3, max_blocks=3)) as dfk:
        until(lambda: dfk.executors[name].connected_workers == 3, timeout=100.0)
        number, element, queue = job().result()
        assert (element in {"1", "2", "3"}, queue) == (True, "all.q")
        assert jobs(name) == [number] * 3
    until(lambda: jobs(name) == [], timeout=30.0)


def test_slots_of_a_parallel_environment_are_asked_for(run, name):
    with cnflow.load(run(parallel_environment="cnflow", slots_per_node=3)):
        number, _, _ = job().result()
        listed = subprocess.run(["qstat", "-j", number], capture_output=True, text=True, check=True).stdout
    assert "parallel environment:  cnflow range: 3" in listed


ABSENT = f"/nonexistent-{uuid.uuid4().hex}"
BAD = {
    "queue": ({"queue": "nope.q"}, "qconf -sql"),
    "project": ({"project": "nope"}, "qconf -sprjl"),
    "parallel environment": ({"parallel_environment": "nope", "slots_per_node": 2}, "qconf -spl"),
    "more slots than there are": ({"parallel_environment": "cnflow", "slots_per_node": 500}, "no suitable queues"),
    "resource": ({"resources": {"nope": 1}}, "qconf -sc"),
    "walltime above the limit": ({"queue": "short.q", "walltime": 3600}, "walltime"),
    "a line that is no option": ({"scheduler_options": "#$ -nope"}, "nope"),
    "a working folder that is not there": ({"scheduler_options": f"#$ -wd {ABSENT}"}, "could not start the job"),
    "a command that is not there": ({"worker_init": "echo begins\nno-such-command --x"}, "no-such-command"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_with_what_to_do_and_leaves_no_job(run, name, case, until):
    options, words = BAD[case]
    with cnflow.load(run(**options)):
        error = job().exception(timeout=200)
    assert isinstance(error, CnflowError)
    assert words in str(error)
    until(lambda: jobs(name) == [], timeout=30.0)


@python_app
def container():
    import os
    import sys

    return os.environ.get("APPTAINER_CONTAINER"), sys.executable, os.environ["JOB_ID"]


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.apptainer
def test_elements_of_an_array_run_tasks_in_containers(run, name, image_base, until):
    config = run(executor={"image": Image(image_base)}, runtime="apptainer", init_blocks=2, max_blocks=2)
    with cnflow.load(config) as dfk:
        until(lambda: dfk.executors[name].connected_workers == 2, timeout=200.0)
        image, python, number = container().result()
        assert image.endswith(".sif")
        assert python == "/usr/bin/python3"
        assert jobs(name) == [number, number]
    until(lambda: jobs(name) == [], timeout=30.0)


def test_the_reason_for_waiting_is_explained(run, name, until):
    options = {"verify": False, "resources": {"mem_free": "900G"}}
    with cnflow.load(run(**options)) as dfk:
        future = job()
        until(lambda: "mem_free=900G" in dfk.explain(future.tid), timeout=100.0)
        future.cancel()
    until(lambda: jobs(name) == [], timeout=30.0)


def test_a_deleted_job_is_noticed_and_its_task_runs_elsewhere(run, name, tmp_path, until):
    """Grid Engine sends SIGUSR2 before it kills: the manager returns its task, which uses no retry."""
    with cnflow.load(run(config={"retries": 0}, executor={"grace_period": 1})):
        future = slow_job(str(tmp_path))
        until(lambda: list(tmp_path.glob("begun-*")), timeout=100.0)
        first = next(iter(tmp_path.glob("begun-*"))).name
        subprocess.run(["qdel", first.removeprefix("begun-")], check=True, capture_output=True)
        assert f"begun-{future.result(timeout=200)}" != first
    until(lambda: jobs(name) == [], timeout=30.0)


def test_a_block_out_of_its_walltime_is_followed_by_another(run, name, until):
    with cnflow.load(run(walltime=20, config={"retries": 0})):
        number, _, _ = job().result(timeout=100)
        until(lambda: number not in jobs(name), timeout=100.0)
        time.sleep(1)
        assert job().result(timeout=100)[0] != number
    until(lambda: jobs(name) == [], timeout=30.0)

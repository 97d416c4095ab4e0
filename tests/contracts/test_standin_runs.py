"""Whole runs on the stand-ins of LSF and Cobalt: tasks on several nodes, and jobs that the scheduler does not take."""

import tempfile
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import CobaltProvider, HighThroughputExecutor, LSFProvider
from cnflow.errors import BlockRejectedError
from tests.standins import cobalt, lsf
from tests.standins.scheduler import ENDED, Standin

pytestmark = pytest.mark.timeout(240)

PROGRAMS = {
    "lsf": (lsf, ["bsub", "bjobs", "bkill", "bhist", "jsrun"]),
    "cobalt": (cobalt, ["qsub", "qstat", "qdel", "aprun"]),
}
PROVIDERS = {"lsf": LSFProvider, "cobalt": CobaltProvider}
HOLD = {"lsf": "#BSUB -H", "cobalt": "#COBALT -h"}


@pytest.fixture(params=["lsf", "cobalt"])
def name(request):
    return request.param


@pytest.fixture
def standin(name, monkeypatch):
    front_end, programs = PROGRAMS[name]
    with tempfile.TemporaryDirectory(prefix=f"cnflow-{name}-") as folder:
        started = Standin(Path(folder) / "s", Path(front_end.__file__), programs)
        monkeypatch.setenv("PATH", str(started.bin), prepend=":")
        yield started
        started.close()


@pytest.fixture
def config(name, tmp_path):
    def make(**options):
        given = {"site_dir": str(tmp_path / "site"), "runtime": "none", "walltime": 3600, "poll_period": 1, **options}
        executor = HighThroughputExecutor(label="htex", provider=PROVIDERS[name](**given), max_workers=1)
        return Config(executors=[executor], run_dir=str(tmp_path / "runinfo"))

    return make


@python_app
def meet(folder, others):
    """Return once as many tasks as *others* are there: they must run at the same time."""
    import os
    import time
    from pathlib import Path

    (Path(folder) / str(os.getpid())).touch()
    while len(list(Path(folder).iterdir())) < others:
        time.sleep(0.05)
    return os.getpid()


def test_managers_of_two_blocks_of_two_nodes_run_tasks(standin, config, tmp_path):
    (tmp_path / "met").mkdir()
    with cnflow.load(config(nodes_per_block=2, init_blocks=2, max_blocks=2)):
        tasks = [meet(str(tmp_path / "met"), 4) for _ in range(4)]
        assert len({task.result(timeout=120) for task in tasks}) == 4
    assert {job.state for job in standin.jobs()} == {ENDED}
    assert {job.nodes for job in standin.jobs()} == {2}


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"queue": "nowhere"}, "queue"),
        ({"queue": "short", "walltime": 36000}, "walltime"),
        ({"nodes_per_block": 50}, "nodes_per_block"),
    ],
)
def test_job_that_is_not_taken_fails_its_tasks_with_the_next_step(standin, config, options, advice):
    with (
        pytest.raises(BlockRejectedError, match=rf"refused the job(.|\n)*{advice}"),
        cnflow.load(config(**options)),
    ):
        meet("/tmp", 0).result(timeout=120)
    assert standin.jobs() == []


@pytest.mark.usefixtures("standin")
def test_unknown_account_is_told(name, config):
    account = {"lsf": {"project": "astrology"}, "cobalt": {"account": "astrology"}}[name]
    with pytest.raises(BlockRejectedError, match="astrology"), cnflow.load(config(**account)):
        meet("/tmp", 0).result(timeout=120)


@pytest.mark.usefixtures("standin")
def test_task_that_waits_for_a_held_job_is_explained(name, config, until):
    with cnflow.load(config(scheduler_options=HOLD[name])) as dfk:
        waiting = meet("/tmp", 0)
        until(lambda: "it is held" in dfk.explain(waiting.tid), timeout=90)
        waiting.cancel()


def test_command_of_the_scheduler_that_is_missing_is_told(tmp_path):
    executor = HighThroughputExecutor(provider=LSFProvider(site_dir=str(tmp_path / "site"), runtime="none"))
    with (
        pytest.raises(BlockRejectedError, match="The command bsub of LSF is not found on this machine"),
        cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo"))),
    ):
        meet("/tmp", 0).result(timeout=120)

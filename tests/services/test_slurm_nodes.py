"""Jobs of two and four nodes on real Slurm, with a manager on each by srun."""

import os
import signal

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor, SlurmProvider
from cnflow.launchers import MpiExecLauncher, MpiRunLauncher, SrunMPILauncher
from tests.conftest import mpi_folder, slurm_conf

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]


@python_app
def node(seconds=0.0):
    import os
    import time

    time.sleep(seconds)
    return os.environ["SLURMD_NODENAME"], os.environ["SLURM_JOB_ID"], os.environ.get("OF_THE_USER")


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm")))

    def make(nodes, **options):
        provider = SlurmProvider(
            nodes_per_block=nodes,
            exclusive=False,
            site_dir=str(tmp_path / "site"),
            worker_init="export OF_THE_USER='a  b'",
            walltime=600,
            poll_period=1,
            **options,
        )
        executor = HighThroughputExecutor(
            provider=provider, max_workers=1, prefetch=0, heartbeat_period=1, heartbeat_threshold=8
        )
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo"), retries=0))

    return make


def managers_of(dfk):
    return list(dfk.executors["htex"]._managers.managers().values())


@pytest.mark.parametrize(("nodes", "options"), [(2, {}), (4, {}), (2, {"launcher": SrunMPILauncher()})])
def test_each_node_of_a_job_has_a_manager(nodes, options, load, until):
    with load(nodes, **options) as dfk:
        until(lambda: len(managers_of(dfk)) == nodes, 200)
        places = {task.result(100) for task in [node(1) for _ in range(4 * nodes)]}
        assert len({name for name, _, _ in places}) == nodes
        assert len({job for _, job, _ in places}) == 1
        assert {variable for *_, variable in places} == {"a  b"}
        assert sorted(info.node_rank for info in managers_of(dfk)) == [*range(nodes)]
        (report,) = dfk.executors["htex"].block_reports()
        assert (report.nodes, report.workers) == (nodes, nodes)


@pytest.mark.mpi
@pytest.mark.parametrize(
    "launcher",
    [
        MpiExecLauncher(program=str(mpi_folder() / "mpiexec")),
        MpiRunLauncher(program="mpirun.openmpi", overrides="--allow-run-as-root"),
    ],
    ids=["MPICH", "Open MPI"],
)
def test_mpi_starts_managers_through_slurm(launcher, load, until):
    with load(2, launcher=launcher) as dfk:
        until(lambda: len(managers_of(dfk)) == 2, 200)
        places = {task.result(100) for task in [node(1) for _ in range(8)]}
        assert len({name for name, _, _ in places}) == 2
        assert {variable for *_, variable in places} == {"a  b"}


def test_loss_of_a_node_is_that_of_its_task_alone_and_the_job_goes_on(load, until):
    with load(4) as dfk:
        until(lambda: len(managers_of(dfk)) == 4, 200)
        for task in [node(1) for _ in range(8)]:  # so that the workers of all nodes are there
            task.result(100)
        tasks = [node(10) for _ in range(4)]
        until(lambda: sum(each["tasks"] for each in dfk.executors["htex"].connected_managers()) == 4)
        victim = next(info for info in managers_of(dfk) if info.node_rank == 2)
        os.kill(victim.pid, signal.SIGKILL)
        assert len({task.result(100) for task in tasks}) == 3
        assert sorted(task.provenance.attempts for task in tasks) == [1, 1, 1, 2]
        (report,) = dfk.executors["htex"].block_reports()
        assert (report.state, report.nodes) == ("running", 3)
        assert report.message.startswith("3 of 4 nodes are connected. Not connected: 2.")
        assert len({task.result(100) for task in [node(0.5) for _ in range(9)]}) == 3

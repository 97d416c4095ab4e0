"""Runs whose blocks are jobs of Torque's commands on a real Slurm: cnflow's own, and a script written for Parsl."""

import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

import cnflow
from cnflow import Image, python_app
from cnflow.config import Config, HighThroughputExecutor
from cnflow.errors import CnflowError
from cnflow.providers import TorqueProvider
from tests.conftest import TORQUE

pytestmark = [pytest.mark.torque, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _site(monkeypatch):
    for name, value in TORQUE.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def name():
    """Label of the executor, by which its jobs are known."""
    return f"x{uuid.uuid4().hex[:8]}"


@pytest.fixture
def run(tmp_path, name):
    """Makes the Config of a run with one executor: ``run(executor={...}, **options of the provider)``."""

    def make(*, image=None, **options):
        provider = TorqueProvider(site_dir=str(tmp_path / "site"), poll_period=1, walltime=900, **options)
        htex = HighThroughputExecutor(label=name, max_workers=1, provider=provider, image=image)
        return Config(executors=[htex], run_dir=str(tmp_path / "runinfo"))

    return make


def jobs(name):
    """Lines of Slurm's queue about jobs of executor *name* that have not ended."""
    listed = subprocess.run(
        ["squeue", "--noheader", "--format=%i|%T|%D|%j"], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if f"-{name}-" in line]


@python_app
def node():
    import os

    return os.environ["SLURMD_NODENAME"]


def test_tasks_run_in_jobs_which_end_with_the_run(run, name, until):
    with cnflow.load(run(init_blocks=2, max_blocks=2)) as dfk:
        until(lambda: dfk.executors[name].connected_workers == 2, timeout=100.0)
        assert node().result().startswith("n")
        assert len(jobs(name)) == 2
    until(lambda: jobs(name) == [], timeout=30.0)


def test_nodes_are_asked_for(run, name):
    with cnflow.load(run(nodes_per_block=2, cpus_per_node=2, launcher={"kind": "simple"})):
        assert node().result().startswith("n")
        assert jobs(name)[0].split("|")[2] == "2"


@python_app
def container():
    import os
    import sys

    return os.environ.get("APPTAINER_CONTAINER"), sys.executable


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.apptainer
def test_tasks_run_in_containers(run, name, image_base, until):
    with cnflow.load(run(image=Image(image_base), runtime="apptainer")):
        image, python = container().result(timeout=200)
        assert image.endswith(".sif")
        assert python == "/usr/bin/python3"
    until(lambda: jobs(name) == [], timeout=30.0)


BAD = {
    "queue": ({"queue": "nope"}, "qstat -Q"),
    "a command that is not there": ({"worker_init": "echo begins\nno-such-command --x"}, "no-such-command"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_with_what_to_do_and_leaves_no_job(run, name, case, until):
    options, words = BAD[case]
    with cnflow.load(run(**options)):
        error = node().exception(timeout=200)
    assert isinstance(error, CnflowError)
    assert words in str(error)
    until(lambda: jobs(name) == [], timeout=30.0)


def test_a_script_written_for_parsl_runs(tmp_path):
    script = tmp_path / "for_parsl.py"
    script.write_text(
        textwrap.dedent(
            """\
            import parsl
            from parsl import python_app
            from parsl.channels import LocalChannel
            from parsl.config import Config
            from parsl.executors import HighThroughputExecutor
            from parsl.launchers import SimpleLauncher
            from parsl.providers import TorqueProvider

            provider = TorqueProvider(
                channel=LocalChannel(),
                launcher=SimpleLauncher(),
                worker_init="export GREETING=hello",
                init_blocks=1,
                max_blocks=1,
                walltime="00:10:00",
            )
            parsl.load(Config(executors=[HighThroughputExecutor(label="htex", max_workers=1, provider=provider)]))


            @python_app
            def greet():
                import os

                return os.environ["GREETING"], os.environ["SLURMD_NODENAME"]


            print(*greet().result())
            """
        )
    )
    command = [str(Path(sys.executable).with_name("cnflow")), "run", "--parsl", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello n")

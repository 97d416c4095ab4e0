"""Images under a real Slurm, in which nothing is installed: managers and workers run in containers on its nodes."""

import pytest

import cnflow
from cnflow import Config, Image, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import SlurmProvider
from cnflow.runtimes import ApptainerRuntime, CharliecloudRuntime, PodmanRuntime
from tests.conftest import slurm_conf

pytestmark = [pytest.mark.docker, pytest.mark.slurm, pytest.mark.timeout(400)]


@pytest.fixture
def run(tmp_path, monkeypatch, podman_configuration):
    """Loads a run of jobs in containers: ``run(image, runtime, **options of the provider)``."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm")))
    monkeypatch.chdir(tmp_path)
    loaded = []

    def load(image, runtime, **options):
        provider = SlurmProvider(
            site_dir=str(tmp_path / "site"), exclusive=False, walltime=600, runtime=runtime, poll_period=1.0, **options
        )
        executor = HighThroughputExecutor(label="site", provider=provider, image=image, max_workers=1, grace_period=2.0)
        loaded.append(cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))))
        return loaded[-1]

    yield load
    for each in loaded:
        each.cleanup()
        cnflow.clear()


def surroundings(names=(), files=()):
    import os
    import sys
    from pathlib import Path

    return {
        "python": sys.executable,
        "variables": {name: os.environ.get(name) for name in names},
        "files": {name: Path(name).read_text() for name in files},
        "folder": str(Path.cwd()),
    }


@pytest.mark.parametrize(
    ("runtime", "mark"),
    [
        pytest.param(ApptainerRuntime(), "APPTAINER_CONTAINER", marks=pytest.mark.apptainer),
        pytest.param(CharliecloudRuntime(), "CH_RUNNING", marks=pytest.mark.charliecloud),
        pytest.param(PodmanRuntime(), "container", marks=pytest.mark.podman),
    ],
    ids=["apptainer", "charliecloud", "podman"],
)
def test_job_runs_tasks_in_an_image_of_the_drivers_engine(run, tmp_path, image_base, runtime, mark):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("from outside")
    image = Image(image_base, environment={"ODD": "a b;$(c)\n'\""}, mounts=[f"{tmp_path}/data:/mnt/data"])
    run(image, runtime, environment={"SITES": "own"})
    names = [mark, "ODD", "SITES", "SLURM_JOB_ID"]
    seen = python_app(surroundings)(names, ["/mnt/data/file"]).result()
    assert seen["python"] == "/usr/bin/python3"
    assert seen["variables"][mark]
    assert seen["variables"]["ODD"] == "a b;$(c)\n'\""
    assert seen["variables"]["SITES"] == "own"
    assert seen["variables"]["SLURM_JOB_ID"].isdigit()
    assert seen["files"] == {"/mnt/data/file": "from outside"}
    assert seen["folder"] == str(tmp_path)

"""One ``image=`` under other real schedulers than Slurm; nothing differs but the provider."""

import pytest

import cnflow
from cnflow import Config, Image, python_app
from cnflow.config import GridEngineProvider, TorqueProvider
from cnflow.executors import HighThroughputExecutor
from tests.conftest import GRID_ENGINE, TORQUE

pytestmark = [pytest.mark.docker, pytest.mark.apptainer, pytest.mark.timeout(300)]

PROVIDERS = {
    "gridengine": (GridEngineProvider, {"queue": "all.q"}, GRID_ENGINE),
    "torque": (TorqueProvider, {}, TORQUE),
}


def surroundings(names):
    import os
    import sys

    return sys.executable, {name: os.environ.get(name) for name in names}


@pytest.mark.parametrize(
    "scheduler",
    [
        pytest.param(name, marks=[getattr(pytest.mark, name), *([pytest.mark.long] if name == "torque" else [])])
        for name in PROVIDERS
    ],
)
def test_job_runs_tasks_in_an_image(scheduler, image_base, tmp_path, monkeypatch):
    settings, options, variables = PROVIDERS[scheduler]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    provider = settings(site_dir=str(tmp_path / "site"), walltime=600, runtime="auto", poll_period=1.0, **options)
    image = Image(image_base, environment={"ODD": "a b;$(c)\n'\""})
    executor = HighThroughputExecutor(label="site", provider=provider, image=image, max_workers=1, grace_period=2.0)
    run = cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs")))
    try:
        python, seen = python_app(surroundings)(["ODD", "APPTAINER_CONTAINER"]).result()
    finally:
        run.cleanup()  # while the variables are set
        cnflow.clear()
    assert python == "/usr/bin/python3"
    assert seen["ODD"] == "a b;$(c)\n'\""
    assert seen["APPTAINER_CONTAINER"]

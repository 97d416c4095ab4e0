"""Images under a real Slurm, in which nothing is installed: managers and workers run in containers on its nodes."""

import contextlib
import subprocess
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, Image, python_app
from cnflow.errors import BlockError, ConfigurationError
from cnflow.executors import HighThroughputExecutor
from cnflow.launchers import SrunLauncher
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
        pytest.param(CharliecloudRuntime(), "CH_RUNNING", marks=[pytest.mark.charliecloud, pytest.mark.long]),
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


def node():
    import os
    import time

    time.sleep(0.5)
    return os.environ["SLURMD_NODENAME"], os.environ["SLURM_JOB_ID"], bool(os.environ.get("APPTAINER_CONTAINER"))


@pytest.mark.apptainer
@pytest.mark.long
def test_each_node_of_a_job_has_a_container(run, image_base, until):
    run(Image(image_base), "apptainer", nodes_per_block=2, launcher=SrunLauncher())
    task = python_app(node)
    seen = set()
    until(lambda: seen.update(future.result() for future in [task() for _ in range(4)]) or len(seen) == 2, 120)
    assert len({job for _, job, _ in seen}) == 1
    assert {inside for _, _, inside in seen} == {True}


@pytest.mark.apptainer
@pytest.mark.long
def test_elements_of_an_array_have_containers_of_their_own(run, image_base, until):
    run(Image(image_base), "auto", init_blocks=3, max_blocks=3)
    task = python_app(node)
    seen = set()
    until(lambda: seen.update(future.result() for future in [task() for _ in range(6)]) or len(seen) == 3, 120)
    assert {inside for _, _, inside in seen} == {True}


@pytest.mark.long
@pytest.mark.apptainer
def test_node_runs_its_own_copy_and_the_record_of_the_run_has_the_digest(run, engine, image_base, tmp_path):
    loaded = run(Image(image_base), "apptainer", node_image_dir=str(tmp_path / "node images"))
    future = python_app(surroundings)(["APPTAINER_CONTAINER"])
    container = future.result()["variables"]["APPTAINER_CONTAINER"]
    identity = engine.images.get(image_base).id
    assert container == str(tmp_path / "node images" / f"{identity.removeprefix('sha256:')}.sif")
    provenance = future.provenance
    assert (provenance.image, provenance.image_id) == (image_base, identity)
    assert provenance.packages
    assert f'id = "{identity}"' in (Path(loaded.run_dir) / "images.lock").read_text()


@pytest.mark.long
def test_node_without_a_runtime_fails_the_tasks_with_words(run, image_base):
    run(Image(image_base), ApptainerRuntime(program="no_such"))
    with pytest.raises(BlockError, match=r"has no no_such, and so cannot start a container of Apptainer") as caught:
        python_app(node)().result()
    assert "worker_init" in str(caught.value)


def test_runtime_that_runs_no_images_refuses_one_before_anything_is_submitted(run, image_base):
    with pytest.raises(ConfigurationError, match="runtime='none' runs no images"):
        run(Image(image_base), "none")


@pytest.mark.apptainer
def test_option_that_the_runtime_does_not_have_is_refused_before_anything_is_submitted(run, image_base):
    with pytest.raises(ConfigurationError, match="Apptainer has no user"):
        run(Image(image_base, user="app"), "apptainer")


def stay(file):
    import os
    import time
    from pathlib import Path

    Path(file).write_text(os.environ["SLURM_JOB_ID"])
    time.sleep(600)


def block_of_this_run(tmp_path):
    """Processes on this machine of a manager in a container of this test."""
    return [line for line in _command_lines() if str(tmp_path) in line and "/manager/__main__.py" in line]


def _command_lines():
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param("apptainer", marks=[pytest.mark.apptainer, pytest.mark.long]),
        pytest.param("charliecloud", marks=[pytest.mark.charliecloud, pytest.mark.long]),
        pytest.param("podman", marks=pytest.mark.podman),
        "docker",
    ],
)
def test_job_that_is_cancelled_leaves_no_container(run, image_base, tmp_path, until, runtime):
    run(Image(image_base), runtime)
    python_app(stay)(str(tmp_path / "job"))
    until((tmp_path / "job").exists, 120)
    assert block_of_this_run(tmp_path)
    job = until((tmp_path / "job").read_text)
    first = block_of_this_run(tmp_path)
    subprocess.run(["scancel", job], check=True)
    until(lambda: not set(first) & set(block_of_this_run(tmp_path)), 60)

"""Real containers of each runtime, in which real managers run tasks; no scheduler takes part."""

import os
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, Image, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.model.site_image import ImageForm
from cnflow.runtimes import ApptainerRuntime, CharliecloudRuntime, DockerRuntime, PodmanRuntime
from tests.services.runtime_provider import provider_of
from tests.services.site_images import site_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

RUNTIMES = {
    "apptainer-sif": (ApptainerRuntime, ImageForm.SIF),
    "apptainer-folder": (ApptainerRuntime, ImageForm.FOLDER),
    "charliecloud": (CharliecloudRuntime, ImageForm.FOLDER),
    "podman": (PodmanRuntime, ImageForm.ARCHIVE),
    "podman-folder": (PodmanRuntime, ImageForm.FOLDER),
    "docker": (DockerRuntime, ImageForm.ARCHIVE),
}

each_runtime = pytest.mark.parametrize(
    "runtime_name",
    [pytest.param(name, marks=getattr(pytest.mark, name.partition("-")[0])) for name in RUNTIMES],
)


@pytest.fixture
def run(tmp_path, monkeypatch, engine, image_base, podman_configuration):
    """Loads a run whose executor starts containers by a runtime: ``run(runtime, form, image=..., **options)``."""
    monkeypatch.chdir(tmp_path)
    loaded = []

    def load(runtime, form, name=image_base, image=None, **options):
        found = site_image(engine, name, form)
        provider = provider_of(tmp_path, runtime=runtime, site_image=found, **options)
        executor = HighThroughputExecutor(
            label="site", provider=provider, image=image or Image(name), max_workers=2, grace_period=2.0
        )
        loaded.append(cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))))
        return loaded[-1]

    yield load
    for each in loaded:
        each.cleanup()
        cnflow.clear()


def surroundings(names, files):
    import os
    import sys
    from pathlib import Path

    return {
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "variables": {name: os.environ.get(name) for name in names},
        "files": {name: Path(name).read_text() if Path(name).is_file() else None for name in files},
        "folder": str(Path.cwd()),
        "uid": os.getuid(),
    }


ODD = "two words; $(touch /tmp/never) `id` \"double\" 'single' \\ $HOME\nand a second line"


@each_runtime
def test_task_in_a_container_sees_its_image_variables_mounts_and_secrets(
    run, runtime_name, tmp_path, monkeypatch, python_of, image_base
):
    cls, form = RUNTIMES[runtime_name]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("from outside")
    monkeypatch.setenv("CNFLOW_TEST_OUTSIDE", "passed, as all of CNFLOW_*")
    monkeypatch.setenv("MY_OWN", "passed by name")
    monkeypatch.setenv("MY_OTHER", "stays outside")
    monkeypatch.setenv("THE_SECRET", "opens")
    image = Image(
        image_base,
        environment={"ODD": ODD},
        mounts=[f"{tmp_path}/data:/mnt/data"],
        secrets={"KEY": "env:THE_SECRET"},
    )
    run(cls(passed_variables=["MY_OWN"]), form, image=image)
    task = python_app(surroundings)
    seen = task(
        ["ODD", "MY_OWN", "MY_OTHER", "CNFLOW_TEST_OUTSIDE", "THE_SECRET"],
        ["/mnt/data/file", "/run/secrets/KEY"],
    ).result()
    assert seen["python"].startswith(python_of(image_base))
    assert not seen["executable"].startswith(str(Path.home()))
    assert seen["variables"] == {
        "ODD": ODD,
        "MY_OWN": "passed by name",
        "MY_OTHER": None,
        "CNFLOW_TEST_OUTSIDE": "passed, as all of CNFLOW_*",
        "THE_SECRET": None,
    }
    assert seen["files"] == {"/mnt/data/file": "from outside", "/run/secrets/KEY": "opens"}
    assert seen["folder"] == str(tmp_path)
    assert seen["uid"] == os.getuid()

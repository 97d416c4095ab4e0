"""Shifter and podman-hpc, which no machine of tests has: stand-ins check the command lines, and run real containers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, Image, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.model.site_image import ImageForm, SiteImage
from cnflow.runtimes import PodmanHPCRuntime, ShifterRuntime
from tests.services.runtime_provider import provider_of
from tests.services.site_images import site_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

STANDINS = Path(__file__).parent / "standins"


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """Puts a stand-in on the PATH: ``standin(program, module)``."""

    def install(program, module):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / program).write_text(f'#!/bin/sh\nexec {sys.executable} -I {STANDINS / module} "$@"\n')
        (folder / program).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    return install


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Loads a run: ``run(runtime, site_image, image)``."""
    monkeypatch.chdir(tmp_path)

    def load(runtime, found, image):
        provider = provider_of(tmp_path, runtime=runtime, site_image=found)
        executor = HighThroughputExecutor(label="site", provider=provider, image=image, max_workers=1)
        loaded.append(cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))))

    loaded = []
    yield load
    for each in loaded:
        each.cleanup()  # while the variables are set
        cnflow.clear()


def surroundings(names, files):
    import os
    import sys
    from pathlib import Path

    variables = {name: os.environ.get(name) for name in names}
    return sys.executable, variables, {name: Path(name).read_text() for name in files}


@pytest.mark.charliecloud
def test_shifter_runs_an_image_of_the_gateway(run, standin, engine, image_base, tmp_path, monkeypatch):
    standin("shifter", "shifter.py")
    image = site_image(engine, image_base, ImageForm.FOLDER)
    monkeypatch.setenv("STANDIN_IMAGES", f"docker:{image_base}={image.path}")
    monkeypatch.setenv("STANDIN_FILE_SYSTEMS", str(Path.home()))
    monkeypatch.setenv("SHIFTER", "docker:another:1")
    monkeypatch.setenv("MY_OTHER", "stays outside")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("from outside")
    wanted = Image(
        image_base,
        environment={"ODD": "a b;$(c)\n"},
        mounts=[f"{tmp_path}/data:/mnt"],
        secrets={"KEY": {"file": str(tmp_path / "data" / "file"), "delivery": "environment"}},
    )
    runtime = ShifterRuntime(passed_variables=["STANDIN_*"], modules=["gpu", "mpich"])
    run(runtime, SiteImage(f"docker://{image_base}", ImageForm.REFERENCE), wanted)
    names = ["ODD", "MY_OTHER", "SHIFTER", "SHIFTER_RUNTIME", "KEY"]
    python, variables, files = python_app(surroundings)(names, ["/mnt/file"]).result()
    assert python == "/usr/bin/python3"
    assert variables == {
        "ODD": "a b;$(c)\n",
        "MY_OTHER": None,
        "SHIFTER": None,
        "SHIFTER_RUNTIME": "1",
        "KEY": "from outside",
    }
    assert files == {"/mnt/file": "from outside"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--no-such"], "Missing an argument"),
        (["--image=ubuntu", "true"], "Incorrect format"),
        (["--image=docker:ubuntu", "true"], "FAILED to lookup docker image ubuntu"),
        (["--image=docker:a", "--volume=/a:/etc/b", "true"], "Invalid Volume Map"),
    ],
)
def test_standin_for_shifter_refuses_what_shifter_refuses(standin, monkeypatch, arguments, words):
    standin("shifter", "shifter.py")
    monkeypatch.setenv("STANDIN_IMAGES", "docker:a=/nowhere")
    done = subprocess.run(["shifter", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.podman
@pytest.mark.usefixtures("podman_configuration")
def test_podman_hpc_runs_an_image_by_its_name(run, standin, engine, image_base, tmp_path, monkeypatch):
    standin("podman-hpc", "podman_hpc.py")
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "log"))
    archive = site_image(engine, image_base, ImageForm.ARCHIVE)
    subprocess.run([shutil.which("podman"), "load", "-q", "-i", archive.path], check=True, capture_output=True)
    runtime = PodmanHPCRuntime(modules=["mpi", "cuda-mpi"], environment={"A": "b"})
    run(runtime, SiteImage(image_base, ImageForm.REFERENCE), Image(image_base, working_dir="/usr"))
    python, variables, _ = python_app(surroundings)(["A"], []).result()
    assert (python, variables) == ("/usr/bin/python3", {"A": "b"})
    said = json.loads((tmp_path / "log").read_text().splitlines()[0])
    assert said["modules"] == ["--mpi", "--cuda-mpi"]
    assert "--workdir" in said["argv"]

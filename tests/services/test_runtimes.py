"""Real containers of each runtime, in which real managers run tasks; no scheduler takes part."""

import os
import shutil
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, Image, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.model.site_image import ImageForm, SiteImage
from cnflow.runtimes import ApptainerRuntime, CharliecloudRuntime, DockerRuntime, PodmanRuntime
from tests.services.runtime_provider import RuntimeBackend, provider_of
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


def write(path):
    from pathlib import Path

    Path(path).write_text("written in a container")


@each_runtime
def test_files_of_tasks_belong_to_the_user_and_no_container_is_left(run, runtime_name, tmp_path):
    cls, form = RUNTIMES[runtime_name]
    loaded = run(cls(), form)
    python_app(write)(str(tmp_path / "file")).result()
    assert (tmp_path / "file").read_text() == "written in a container"
    assert (tmp_path / "file").stat().st_uid == os.getuid()
    assert _processes_with(tmp_path)
    loaded.cleanup()
    assert not _processes_with(tmp_path)


def _processes_with(folder):
    """Processes, such as a manager, whose command line names a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if f"{folder}/site/".encode() in line:
            found.append(line)
    return found


@pytest.mark.apptainer
def test_first_runtime_that_the_node_has_is_chosen_there(run):
    run("auto", ImageForm.FOLDER)
    seen = python_app(surroundings)(["APPTAINER_CONTAINER"], []).result()
    assert seen["variables"]["APPTAINER_CONTAINER"]


@pytest.mark.charliecloud
def test_node_without_the_preferred_runtime_takes_another(run, tmp_path, monkeypatch):
    path = tmp_path / "path"
    path.mkdir()
    for name in ("ch-run", "sh", "env", "sed", "mkdir", "id", "uname", "bash"):
        (path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(path))
    run("auto", ImageForm.FOLDER)
    seen = python_app(surroundings)(["APPTAINER_CONTAINER", "CH_RUNNING"], []).result()
    assert seen["variables"] == {"APPTAINER_CONTAINER": None, "CH_RUNNING": "Weird Al Yankovic"}


@pytest.mark.apptainer
@pytest.mark.suites
@pytest.mark.parametrize("only_carried", [False, True])
def test_image_with_another_python_runs_the_manager_by_that_of_the_driver(run, only_carried):
    run(ApptainerRuntime(home=False), ImageForm.SIF, "cnflow-base:trixie", only_carried=only_carried)
    seen = python_app(surroundings)(["PYTHONNOUSERSITE"], []).result()
    assert seen["python"].startswith("3.13.")
    assert seen["executable"] == "/usr/bin/python3"
    assert seen["variables"] == {"PYTHONNOUSERSITE": None}


@pytest.mark.apptainer
def test_container_can_write_anywhere_into_memory_if_it_may(run, tmp_path):
    run(ApptainerRuntime(working_dir="/usr"), ImageForm.SIF)
    python_app(write)("/usr/share/new").result()
    assert python_app(surroundings)([], ["/usr/share/new"]).result()["folder"] == "/usr"
    assert not Path("/usr/share/new").exists()


@pytest.fixture
def start_block(tmp_path, request_for, until):
    """Starts a block that is to fail: ``start_block(runtime, image) -> (exit code, its last words)``."""

    def start(runtime, image):
        backend = RuntimeBackend(provider_of(tmp_path, runtime=runtime, site_image=image))
        request = request_for(image.reference)
        native = backend.submit([request])[request.block]
        status = until(lambda: (now := backend.status([native])[native]).state.is_final and now, timeout=60)
        return status.exit_code, status.message

    return start


DAMAGES = {
    "cut": (lambda content: content[:50_000], "is incomplete: it has 50000 of "),
    "no image": (lambda content: b"no image" * 1000, "is no SIF, or is damaged. Remove that file"),
    "empty": (lambda content: b"", "is no SIF"),
    "other architecture": (lambda content: content[:45] + b"04\0" + content[48:], "is for another architecture"),
}


@pytest.mark.apptainer
@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_sif_is_told_by_the_block(tmp_path, start_block, engine, image_base, damage):
    good = site_image(engine, image_base, ImageForm.SIF)
    bad = tmp_path / "bad.sif"
    change, words = DAMAGES[damage]
    bad.write_bytes(change(Path(good.path).read_bytes()))
    code, message = start_block(ApptainerRuntime(), good._replace(path=str(bad)))
    assert code == 66
    assert f"{bad} {words}" in message


@pytest.mark.apptainer
def test_sif_that_does_not_start_is_named_in_the_log(tmp_path, start_block, engine, image_base):
    good = site_image(engine, image_base, ImageForm.SIF)
    bad = tmp_path / "bad.sif"
    content = Path(good.path).read_bytes()
    bad.write_bytes(content[:40_000] + bytes(len(content) - 40_000))
    code, message = start_block(ApptainerRuntime(), good._replace(path=str(bad)))
    assert code
    assert f"apptainer starts {bad} on " in message


@pytest.mark.podman
@pytest.mark.usefixtures("podman_configuration")
def test_bad_archive_is_told_by_the_block(tmp_path, start_block):
    bad = tmp_path / "bad.tar"
    bad.write_bytes(b"no archive" * 1000)
    image = SiteImage("bad:1", ImageForm.ARCHIVE, str(bad), f"sha256:{tmp_path.name}")
    code, message = start_block(PodmanRuntime(), image)
    assert code == 66
    assert f"{bad} cannot be loaded: " in message


def test_image_that_the_node_does_not_have_is_told_with_what_to_do(tmp_path, start_block):
    image = SiteImage("app:1", ImageForm.FOLDER, str(tmp_path / "no such"))
    code, message = start_block(CharliecloudRuntime(program="sh"), image)
    assert code == 66
    assert f"has no {tmp_path}/no such, which is the image app:1" in message
    assert "image_cache_dir" in message


@pytest.mark.parametrize("runtime", [ApptainerRuntime(program="/no/such"), "auto"])
def test_node_without_a_runtime_is_told_with_what_to_do(tmp_path, start_block, monkeypatch, runtime):
    path = tmp_path / "path"
    path.mkdir()
    for name in ("sh", "uname", "bash"):
        (path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(path))
    image = SiteImage("app:1", ImageForm.FOLDER, str(tmp_path))
    code, message = start_block(runtime, image)
    assert code == 127
    assert "worker_init" in message
    assert ("/no/such" if isinstance(runtime, ApptainerRuntime) else "podman") in message

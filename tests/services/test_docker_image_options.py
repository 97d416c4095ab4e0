"""Options of an `Image` in real containers, seen from inside and in what the engine shows of them."""

import json
import os
import uuid

import pytest

import cnflow
from cnflow import Config, Image, Mount, Secret, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

TEXT = "s3cret-text-to-look-for"


@pytest.fixture
def template(tmp_path, monkeypatch):
    """A run whose only executor is a template for images."""
    monkeypatch.chdir(tmp_path)
    own = DockerProvider(memory="1g", create={"labels": {"cnflow.test.folder": str(tmp_path)}})
    executor = HighThroughputExecutor(label="boxes", provider=own, max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo"))) as dfk:
        yield dfk


@python_app
def look(folders):
    import os
    import resource
    import socket
    from pathlib import Path

    def can_write(folder):
        try:
            Path(folder, "written").write_text("x")
        except OSError as error:
            return os.strerror(error.errno)
        return True

    shared = os.statvfs("/dev/shm")
    return {
        "host": socket.gethostname(),
        "user": (os.getuid(), os.getgid()),
        "folder": str(Path.cwd()),
        "colour": os.environ.get("COLOUR"),
        "shared_memory": shared.f_blocks * shared.f_frsize,
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "writable": {folder: can_write(folder) for folder in folders},
    }


def test_each_option_reaches_the_container(template, engine, image_base, tmp_path):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    volume = f"cnflow-test-{uuid.uuid4().hex[:8]}"
    user = f"{os.getuid()}:4321"
    image = Image(
        image_base,
        environment={"COLOUR": "blue"},
        mounts=[
            f"{tmp_path}/in:/in",
            "./out:/out:rw",
            Mount(volume, "/volume", read_only=False),
            Mount(kind="tmpfs", target="/scratch", size="1m"),
        ],
        user=user,
        working_dir="/scratch",
        shared_memory="32m",
        cpus=1,
        memory="256m",
        pids=200,
        ulimits={"nofile": (512, 1024), "core": 0},
        extras={"docker": {"labels": {"cnflow.test": volume}, "hostname": "box7"}},
    )
    folders = ["/in", "/out", "/volume", "/scratch"]
    try:
        seen = look.with_options(image=image)(folders).result(120)
        (block,) = engine.containers.list(filters={"label": f"cnflow.test={volume}"})
        host = block.attrs["HostConfig"]
    finally:
        template.cleanup()
        engine.volumes.get(volume).remove(force=True)
    assert seen["host"] == "box7"
    assert seen["user"] == (os.getuid(), 4321)
    assert seen["folder"] == "/scratch"
    assert seen["colour"] == "blue"
    assert seen["shared_memory"] == 32 * 2**20
    assert seen["core"] == (0, 0)
    assert seen["files"][1] == 1024
    assert seen["writable"] == {"/in": "Read-only file system", "/out": True, "/volume": True, "/scratch": True}
    assert (tmp_path / "out" / "written").read_text() == "x"
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (268435456, 10**9, 200)


@pytest.mark.usefixtures("template")
def test_options_of_the_call_win_over_those_of_the_app_and_the_provider(engine, image_base, tmp_path):
    def limit():
        return None

    app = python_app(image=Image(image_base, memory="512m"))(limit)
    app().result(120)
    app.options(image=Image(image_base, memory="256m"))().result(120)
    app.options(image=image_base)().result(120)
    own = engine.containers.list(filters={"label": f"cnflow.test.folder={tmp_path}"})
    assert sorted(block.attrs["HostConfig"]["Memory"] for block in own) == [2**28, 2**29, 2**30]


@python_app
def read_secrets():
    import os
    import stat
    from pathlib import Path

    file = Path("/run/secrets/token")
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    (kind,) = [mount[2] for mount in mounts if mount[1] == "/run/secrets"]
    left = sorted(Path("/.cnflow/run").iterdir())
    return file.read_text(), oct(stat.S_IMODE(file.stat().st_mode)), os.environ["PRIVATE"], kind, left


@pytest.mark.usefixtures("template")
def test_secrets_reach_workers_and_nobody_else(engine, image_base, monkeypatch, tmp_path):
    monkeypatch.setenv("CNFLOW_TEST_TOKEN", TEXT)
    label = uuid.uuid4().hex
    image = Image(
        image_base,
        secrets={"token": "env:CNFLOW_TEST_TOKEN", "PRIVATE": Secret(value=TEXT + "-2", delivery="environment")},
        extras={"docker": {"labels": {"cnflow.test": label}}},
    )
    found = read_secrets.options(image=image)().result(120)
    assert found == (TEXT, "0o600", TEXT + "-2", "tmpfs", [])
    (block,) = engine.containers.list(filters={"label": f"cnflow.test={label}"})
    assert TEXT not in json.dumps(block.attrs)
    written = [file for file in tmp_path.rglob("*") if file.is_file() and TEXT.encode() in file.read_bytes()]
    assert written == []
    assert TEXT not in repr(image) + str(image) + image.key


@pytest.mark.usefixtures("template")
def test_missing_secret_is_the_error_of_the_task_and_names_image_and_source(image_base):
    image = Image(image_base, secrets=["CNFLOW_TEST_NOT_SET"])
    error = look.options(image=image)([]).exception(120)
    assert isinstance(error, cnflow.errors.ConfigurationError)
    assert f"Image '{image_base}': secret 'CNFLOW_TEST_NOT_SET': the driver has no variable" in str(error)


ENTRYPOINT = """RUN printf '#!/bin/sh\\nexport FROM_ENTRYPOINT=yes\\nexec "$@"\\n' > /enter && chmod 755 /enter"""


@python_app
def entered():
    import os

    return os.environ.get("FROM_ENTRYPOINT", "no")


@pytest.mark.usefixtures("template")
def test_entrypoint_is_replaced_kept_or_given(build):
    name = build(ENTRYPOINT, 'ENTRYPOINT ["/enter"]')
    other = build(ENTRYPOINT)
    assert entered.options(image=name)().result(120) == "no"
    assert entered.options(image=Image(name, entrypoint="keep"))().result(120) == "yes"
    assert entered.options(image=Image(other, entrypoint=["/enter"]))().result(120) == "yes"


@pytest.fixture
def network(engine):
    made = engine.networks.create(f"cnflow-test-{uuid.uuid4().hex[:8]}")
    yield made
    made.remove()


def test_containers_are_in_the_network_of_the_image(template, engine, image_base, network):
    label = uuid.uuid4().hex
    image = Image(image_base, network=network.name, extras={"docker": {"labels": {"cnflow.test": label}}})
    assert entered.options(image=image)().result(120) == "no"
    (block,) = engine.containers.list(filters={"label": f"cnflow.test={label}"})
    assert list(block.attrs["NetworkSettings"]["Networks"]) == [network.name]
    template.cleanup()


@pytest.mark.usefixtures("template")
def test_image_that_may_not_be_pulled_is_not_found():
    error = entered.options(image=Image("cnflow-test-no-such:1", pull="never"))().exception(120)
    assert isinstance(error, cnflow.errors.ImageNotFoundError)
    assert "It was not pulled, since pull='never'" in str(error)


@pytest.mark.usefixtures("template")
def test_image_for_another_platform_than_the_one_asked_for_is_refused(image_base):
    error = entered.options(image=Image(image_base, platform="linux/s390x"))().exception(120)
    assert isinstance(error, cnflow.errors.BlockError)
    assert f"Image '{image_base}'" in str(error)
    assert "platform" in str(error)

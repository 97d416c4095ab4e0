"""Stores and hosts for containers that share nothing with the driver, and have neither fsspec nor rsync."""

import sys
import uuid

import fsspec
import pytest

import cnflow
from cnflow import Config, File, bash_app, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.errors import StagingError
from cnflow.staging import FsspecStaging, RSyncStaging

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

OWN_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def load(engine, image_base, python_of, tmp_path):
    """Start a run in one container that sees no folder of this machine."""
    if python_of(image_base) != OWN_MINOR:
        pytest.skip(f"{image_base} has another Python than this one. Run: make base-image, or use its Python")

    def start(staging):
        provider = DockerProvider(max_blocks=1, mount_folders=False)
        executor = HighThroughputExecutor(image=image_base, storage_access=[staging], max_workers=1, provider=provider)
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs")))

    return start


@bash_app
def sort(file, outputs=(), stdout=None):
    return f"sort {file} > {outputs[0]}; echo sorted"


@python_app
def lines(*files):
    from pathlib import Path

    return [Path(file).read_text().split() for file in files]


def test_container_without_mounts_reads_and_writes_a_store_through_the_driver(load):
    folder = f"/{uuid.uuid4().hex}"
    store = fsspec.filesystem("memory")  # of the driver's process: no task could reach it
    store.pipe_file(f"{folder}/names", b"b\na\n")
    names, result, said = (File(f"memory:/{folder}/{name}") for name in ("names", "result", "said"))
    with load(FsspecStaging(schemes=["memory"])):
        task = sort(names, outputs=[result], stdout=said)
        assert lines(names, task.outputs[0]).result(120) == [["b", "a"], ["a", "b"]]
        assert store.cat_file(f"{folder}/result") == b"a\nb\n"
        task.stdout.result(60)
        assert store.cat_file(f"{folder}/said") == b"sorted\n"
        missing = lines(File(f"memory:/{folder}/no")).exception(60)
        assert isinstance(missing.root_cause, StagingError)
        assert missing.root_cause.step == "stage in"
        assert missing.root_cause.url == f"memory:/{folder}/no"


def test_container_without_rsync_says_what_to_do(load, tmp_path):
    (tmp_path / "x").write_text("x")
    with load(RSyncStaging("127.0.0.1")):
        error = lines(File(tmp_path / "x")).exception(120)
    assert isinstance(error, StagingError)
    assert "there is no 'rsync' on this node" in str(error)
    assert "way='driver'" in str(error)


def test_container_without_fsspec_says_what_to_do(load):
    with load(FsspecStaging(way="in_task")):
        error = lines(File("s3://bucket/x")).exception(120)
    assert isinstance(error, StagingError)
    assert "pip install 'cnflow[s3]'" in str(error)

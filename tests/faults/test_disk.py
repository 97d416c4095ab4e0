"""A full disk under the folder of a run: log lines are lost, tasks are not."""

import contextlib
import logging
import re
import subprocess
import tempfile
import uuid

import pytest

from cnflow import python_app
from cnflow.config import DockerProvider
from cnflow.errors import BadCheckpoint, InterchangeLostError

pytestmark = pytest.mark.root


@pytest.fixture
def small_disk(tmp_path):
    """File system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "cnflow-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def few_inodes(tmp_path, monkeypatch):
    """File system for temporary files with room for six."""
    folder = tmp_path / "few"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=7", "cnflow-test", str(folder)], check=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def take_inodes(folder):
    with contextlib.suppress(OSError):
        for number in range(100):
            (folder / str(number)).touch()


def test_no_space_for_the_socket_of_the_interchange_is_an_error_that_names_the_folder(load, few_inodes):
    take_inodes(few_inodes)
    with load():
        error = chatty(0).exception(30)
    assert isinstance(error, InterchangeLostError)
    assert re.search(rf"No space left .* set TMPDIR to another folder: '{re.escape(str(few_inodes))}'", str(error))


def test_disk_that_is_full_beside_the_socket_loses_no_task(load, few_inodes):
    with load():
        assert chatty(0).result(30) == 0
        take_inodes(few_inodes)
        assert [future.result(30) for future in [chatty(n) for n in range(20)]] == list(range(20))
        assert len(chatty("x" * 20_000_000).result(60)) == 20_000_000


def fill(folder):
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@python_app(cache=True)
def chatty(number):
    import sys

    sys.stderr.write("x" * 10_000 + "\n")
    return number


def test_full_disk_loses_no_task(load, small_disk, caplog):
    config = {"run_dir": str(small_disk / "runinfo"), "checkpoint_mode": "task_exit", "initialize_logging": True}
    with load(config=config) as dfk:
        assert chatty(0).result(30) == 0
        fill(small_disk)
        with caplog.at_level(logging.WARNING):
            assert [future.result(30) for future in [chatty(n) for n in range(1, 50)]] == list(range(1, 50))
        assert "could not be written" in caplog.text
        with pytest.raises(BadCheckpoint, match="full"):
            dfk.checkpoint()
        (small_disk / "filler").unlink()
        (small_disk / "runinfo/000/htex/block-0.log").write_text("")
        dfk.checkpoint()  # results that were kept in memory are written now
        assert chatty(50).result(30) == 50
    with load(config={**config, "checkpoint_files": [str(small_disk / "runinfo/000/checkpoint")]}, label="again"):
        marks = [chatty(n) for n in range(51)]
        assert [future.result(30) for future in marks] == list(range(51))
    assert (
        not list(small_disk.glob("runinfo/001/again/block-0.log"))
        or "xxx" not in (small_disk / "runinfo/001/again/block-0.log").read_text()
    ), "nothing was run again"


@pytest.mark.docker
def test_full_disk_does_not_hide_the_exit_of_a_container(load, small_disk, image_base, engine, caplog):
    label = uuid.uuid4().hex
    provider = DockerProvider(create={"labels": {"cnflow.test": label}})
    settings = {"image": image_base, "heartbeat_period": 1, "heartbeat_threshold": 30}
    with load(provider, config={"run_dir": str(small_disk / "runinfo")}, **settings):
        assert chatty(0).result(60) == 0
        fill(small_disk)
        assert [future.result(60) for future in [chatty(n) for n in range(1, 30)]] == list(range(1, 30))
        (container,) = engine.containers.list(filters={"label": f"cnflow.test={label}"})
        container.kill()
        assert chatty(30).result(60) == 30
    assert "killed by signal 9" in caplog.text

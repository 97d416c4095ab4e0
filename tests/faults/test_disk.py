"""A full disk under the folder of a run: log lines are lost, tasks are not."""

import contextlib
import logging
import subprocess
import uuid

import pytest

from cnflow import python_app
from cnflow.config import DockerProvider
from cnflow.errors import BadCheckpoint

pytestmark = pytest.mark.root


@pytest.fixture
def small_disk(tmp_path):
    """File system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "cnflow-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


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

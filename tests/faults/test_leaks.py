"""Repeated runs in one program leave no thread, process, descriptor or file behind."""

import gc
import tempfile
import threading
import uuid
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor, LocalProvider, ThreadPoolExecutor


@python_app
def half(number):
    return number / 2


@pytest.fixture
def resources_in_use(processes, until):
    """Function that lists threads, processes, descriptors and temporary files of this process."""

    def count():
        gc.collect()
        until(lambda: not any(processes.is_running(pid) for pid in processes.children()))
        found = []
        for entry in Path("/proc/self/fd").iterdir():
            try:
                target = str(entry.readlink())
            except FileNotFoundError:
                continue  # the descriptor of the listing itself
            found.append(target.partition(":")[0] if ":[" in target else target)
        return {
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "processes": processes.children(),
            "descriptors": sorted(found),
            "temporary files": sorted(entry.name for entry in Path(tempfile.gettempdir()).iterdir()),
        }

    return count


@pytest.fixture(autouse=True)
def own_tempdir(tmp_path, monkeypatch):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.mark.long
@pytest.mark.timeout(300)
def test_fifty_runs_leave_no_more_than_one(tmp_path, resources_in_use):
    def one():
        executors = [
            HighThroughputExecutor(provider=LocalProvider(), max_workers=1),
            HighThroughputExecutor(label="far", provider=LocalProvider(init_blocks=0), address="127.0.0.1"),
            ThreadPoolExecutor(),
        ]
        options = {"checkpoint_mode": "task_exit", "initialize_logging": True}
        with cnflow.load(Config(executors=executors, run_dir=str(tmp_path / "runinfo"), **options)):
            assert python_app(lambda: 1, executors=["htex"], cache=True)().result(60) == 1
            assert python_app(lambda: 2, executors=["threads"])().result(60) == 2

    one()
    first = resources_in_use()
    for _ in range(49):
        one()
    assert resources_in_use() == first


@pytest.mark.docker
def test_runs_in_containers_leave_no_container_and_no_other_resource(tmp_path, image_base, engine, resources_in_use):
    label = uuid.uuid4().hex

    def one():
        provider = DockerProvider(create={"labels": {"cnflow.test": label}})
        executor = HighThroughputExecutor(image=image_base, provider=provider, max_workers=1)
        with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo"))):
            assert half(2).result(60) == 1

    one()
    first = resources_in_use()
    for _ in range(4):
        one()
    assert resources_in_use() == first
    assert not engine.containers.list(all=True, ignore_removed=True, filters={"label": f"cnflow.test={label}"})

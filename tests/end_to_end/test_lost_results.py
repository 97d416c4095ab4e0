"""Results that stayed on a node which is gone: made again by their tasks, or an error that says what was lost."""

import os
import signal
from concurrent.futures import wait
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, python_app
from cnflow.config import HighThroughputExecutor
from cnflow.errors import ItemLostError
from cnflow.providers import LocalProvider
from cnflow.staging import BuiltInStaging

np = pytest.importorskip("numpy")
COUNT = 500_000  # of 8 bytes


@python_app(keep_remote=True)
def make(log, start):
    import numpy as np

    with Path(log).open("a") as file:
        file.write("made\n")
    return np.ones(COUNT) + start[0]


@python_app(keep_remote=True)
def make_once(mark):
    Path(mark).touch(exist_ok=False)
    return str(os.getpid()).encode() + bytes(COUNT)


@python_app
def total(array):
    return float(array.sum())


@python_app
def lose_node_once(mark, names):
    """Remove the contents *names*, which other managers of this machine may have, too, and kill the manager."""
    if not Path(mark).exists():
        Path(mark).touch()
        roots = [os.environ[name] for name in ("CNFLOW_AREA_MEMORY", "CNFLOW_AREA") if name in os.environ]
        # Folders of other managers may vanish meanwhile, which `os.walk` passes over.
        for folder, _, files in [found for root in roots for found in os.walk(root)]:
            for name in set(names) & set(files):
                (Path(folder) / name).unlink(missing_ok=True)
        os.kill(os.getppid(), signal.SIGKILL)


@pytest.fixture
def run():
    provider = LocalProvider(init_blocks=1, max_blocks=1)
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1, provider=provider)])) as dfk:
        yield dfk


def test_lost_results_are_made_again_or_name_what_was_lost(run, tmp_path):
    log, mark = str(tmp_path / "log"), str(tmp_path / "mark")
    own = os.getpid()  # contents that no other run on this machine has
    first = make(log, np.full(1, own))
    second = make(log, first)
    third = make(log, np.full(1, own + 1))
    once = make_once(str(tmp_path / "once"))
    wait([first, second, third, once])
    lose_node_once(mark, [kept._result.holding.item.key.hex() for kept in (first, second, third, once)]).result()
    assert total(second).result() == COUNT * (own + 2)
    assert third.result().sum() == COUNT * (own + 2)
    assert (tmp_path / "log").read_text().count("made") == 6
    with pytest.raises(ItemLostError, match=r"^The result of Task 3 \(make_once\) .* was lost with its node, and"):
        once.result()
    assert isinstance(total(once).exception(), ItemLostError)


@python_app
def write(log, outputs=()):
    with Path(log).open("a") as file:
        file.write("made\n")
    Path(outputs[0]).write_text("content")


@python_app
def read(file):
    return Path(file).read_text()


def test_lost_temporary_file_is_made_again_once_for_all_that_read_it(tmp_path):
    log, mark = str(tmp_path / "log"), str(tmp_path / "mark")
    provider = LocalProvider(init_blocks=1, max_blocks=1)
    executor = HighThroughputExecutor(max_workers=1, provider=provider, storage_access=[BuiltInStaging()])
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))):
        made = write(log, outputs=[File.temp("t.txt")]).outputs[0]
        assert read(made).result() == "content"
        lose_node_once(mark, [made.result().item.key.hex()]).result()
        assert [task.result() for task in [read(made) for _ in range(3)]] == ["content"] * 3
        assert (tmp_path / "log").read_text().count("made") == 2

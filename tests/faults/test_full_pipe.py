"""A reader that does not read what managers print: a container engine or a batch system that hangs."""

import os
import sys
import time

import pytest

from cnflow import python_app
from cnflow.providers import LocalProvider


@python_app
def talkative(count):
    for _ in range(count):
        print("x" * 999)  # noqa: T201 - it is what the test is about
    return count


@pytest.fixture
def silent_reader(tmp_path):
    """Interpreter whose stderr is a pipe that nobody reads."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} "$@" 2<>{pipe}\n')
    script.chmod(0o755)
    return script


def test_manager_whose_output_nobody_reads_goes_on(load, silent_reader, until):
    with load(LocalProvider(python=str(silent_reader)), max_workers=2) as dfk:
        assert [future.result(30) for future in [talkative(10_000), talkative(1)]] == [10_000, 1]
        (before,) = dfk.executors["htex"].connected_managers()
        time.sleep(3)  # two thresholds
        assert talkative(1).result(30) == 1
        (now,) = dfk.executors["htex"].connected_managers()
        assert now["manager"] == before["manager"]

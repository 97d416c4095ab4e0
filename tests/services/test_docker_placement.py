"""Results that stay in one of two containers: the next task of each runs where its data is."""

import itertools
import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

CHAINS, LENGTH = 6, 4
SIZE = 4 * 2**20
"""Bytes: a task waits for its container for some 40 ms before they move."""


@pytest.fixture
def run(tmp_path, image_base):
    """Two containers of two workers, each a node of its own."""
    provider = DockerProvider(mount_folders=False, init_blocks=2, min_blocks=2, max_blocks=2)
    executor = HighThroughputExecutor(provider=provider, image=image_base, max_workers=2)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))) as dfk:
        deadline = time.monotonic() + 60
        while dfk.executor_status()[0].managers < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield dfk


def _begin(size):
    import os
    import socket

    return [socket.gethostname()], os.urandom(size)


def _follow(before):
    import os
    import socket

    hosts, content = before
    return [*hosts, socket.gethostname()], os.urandom(len(content))


def test_tasks_follow_their_data(run):
    begin, follow = python_app(_begin, keep_remote=True), python_app(_follow, keep_remote=True)
    last = []
    for _ in range(CHAINS):
        result = begin(SIZE)
        for _ in range(LENGTH - 1):
            result = follow(result)
        last.append(result)
    paths = [result.result(90)[0] for result in last]
    assert len({host for path in paths for host in path}) == 2, "both containers work"
    steps = [(before, after) for path in paths for before, after in itertools.pairwise(path)]
    stayed = sum(before == after for before, after in steps)
    assert stayed >= 0.6 * len(steps), f"{stayed} of {len(steps)} tasks ran where their data was"

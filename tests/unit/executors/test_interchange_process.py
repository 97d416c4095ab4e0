import errno
import os
from pathlib import Path

import pytest

from cnflow.executors.high_throughput.interchange_process import (
    MOST_RESTARTS,
    RESTART_WINDOW,
    InterchangeProcess,
    RestartLimit,
)
from cnflow.model.interchange_settings import InterchangeSettings

OPEN_FILES = Path("/proc/self/fd")


def test_interchange_may_be_restarted_a_few_times_a_minute():
    limit = RestartLimit()
    assert [limit.allow(float(n)) for n in range(MOST_RESTARTS + 1)] == [True] * MOST_RESTARTS + [False]
    assert not limit.allow(RESTART_WINDOW - 1)
    assert limit.allow(RESTART_WINDOW)
    assert limit.count == MOST_RESTARTS + 1


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_process_that_cannot_start_leaves_no_descriptor_open(tmp_path, monkeypatch, has_pidfd):
    def missing(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    if not has_pidfd:
        monkeypatch.setattr(os, "pidfd_open", missing)
    before = {file.name for file in OPEN_FILES.iterdir()}
    with pytest.raises(IsADirectoryError):
        InterchangeProcess(InterchangeSettings(folder="", manager_endpoint=""), tmp_path)
    assert {file.name for file in OPEN_FILES.iterdir()} == before

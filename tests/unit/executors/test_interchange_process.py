import errno
import os
from pathlib import Path

import pytest

from cnflow.executors.high_throughput.interchange_process import InterchangeProcess

OPEN_FILES = Path("/proc/self/fd")


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_process_that_cannot_start_leaves_no_descriptor_open(tmp_path, monkeypatch, has_pidfd):
    def missing(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    if not has_pidfd:
        monkeypatch.setattr(os, "pidfd_open", missing)
    before = {file.name for file in OPEN_FILES.iterdir()}
    with pytest.raises(IsADirectoryError):
        InterchangeProcess(["true"], b"", tmp_path)
    assert {file.name for file in OPEN_FILES.iterdir()} == before

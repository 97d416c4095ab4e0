import os

import pytest

from cnflow.manager.node import hardware


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a command of that name, which does what the script says, where the real one would be found."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(script):
        command = tmp_path / "nvidia-smi"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    return make


@pytest.mark.usefixtures("nvidia_smi")
def test_without_nvidias_tool_there_are_no_cuda_devices():
    assert hardware.cuda_devices() == 0


def test_cuda_devices_are_counted_without_their_slices(nvidia_smi):
    nvidia_smi('[ "$1" = -L ] && echo "GPU 0: A100 (UUID: a)\n  MIG 1g.5gb Device 0: (UUID: b)\nGPU 1: A100 (UUID: c)"')
    assert hardware.cuda_devices() == 2


def test_a_tool_that_fails_tells_nothing_and_is_logged(nvidia_smi, caplog):
    nvidia_smi("echo no driver >&2; exit 9")
    assert hardware.cuda_devices() == 0
    assert "nvidia-smi does not tell how many devices there are" in caplog.text


def test_what_is_started_keeps_to_the_cores_and_we_do_not():
    before = os.sched_getaffinity(0)
    core = max(before)
    with hardware.keeping_to([core]):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with hardware.keeping_to([]):
        assert os.sched_getaffinity(0) == before

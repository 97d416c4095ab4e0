import os

import pytest

from cnflow.manager.node import hardware


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a command ``nvidia-smi`` with the given script into an otherwise empty PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(script):
        command = tmp_path / "nvidia-smi"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    return make


@pytest.mark.usefixtures("nvidia_smi")
def test_no_cuda_devices_are_counted_without_nvidia_smi():
    assert hardware.cuda_device_count() == 0


def test_mig_slices_are_not_counted_as_cuda_devices(nvidia_smi):
    nvidia_smi('[ "$1" = -L ] && echo "GPU 0: A100 (UUID: a)\n  MIG 1g.5gb Device 0: (UUID: b)\nGPU 1: A100 (UUID: c)"')
    assert hardware.cuda_device_count() == 2


def test_a_failure_of_nvidia_smi_is_logged_and_counts_no_devices(nvidia_smi, caplog):
    nvidia_smi("echo no driver >&2; exit 9")
    assert hardware.cuda_device_count() == 0
    assert "cannot count CUDA devices, nvidia-smi failed" in caplog.text


def test_the_core_affinity_of_the_manager_is_restored():
    before = os.sched_getaffinity(0)
    core = max(before)
    with hardware.core_affinity([core]):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with hardware.core_affinity([]):
        assert os.sched_getaffinity(0) == before

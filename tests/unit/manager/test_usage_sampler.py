"""The thread that measures: one look at a time; whose device is whose; the library of the driver."""

import os
import time

from cnflow.manager.usage import nvml
from cnflow.manager.usage.nvml import DeviceUse
from cnflow.manager.usage.sampler import GpuUse, Sampler, Target, gpu_of, gpu_use, visible_devices

FIRST = DeviceUse("GPU-aaaa", 100, 80.0, {10: 60, 11: 20, 99: 5})
SECOND = DeviceUse("GPU-bbbb", 7, 20.0, {})
CUT_UP = DeviceUse("GPU-cccc", 50, -1.0, {})
DEVICES = [FIRST, SECOND]
NAMES = {each.uuid for each in DEVICES}


def test_a_look_has_the_task_and_the_node():
    sampler = Sampler()
    sampler.ask([Target(3, os.getpid(), 7, 1), Target(4, 2**30, 8, 0)])
    assert sampler.is_looking
    sampler.ask([])  # left out: the first is not over
    deadline = time.monotonic() + 30
    while not (looks := sampler.take()) and time.monotonic() < deadline:
        time.sleep(0.01)
    (look,) = looks
    assert [target.task for target, _, _ in look.tasks] == [7]
    assert look.tasks[0][1].resident > 0
    assert look.node.memory > 0
    assert not sampler.is_looking
    assert sampler.take() == []


def test_gpu_of_a_task_is_where_its_processes_have_memory():
    seen = {0: frozenset(NAMES), 1: frozenset(NAMES)}
    assert gpu_of(0, frozenset({10, 11}), DEVICES, seen) == GpuUse(80, 80.0)
    assert gpu_of(1, frozenset({5}), DEVICES, seen) == GpuUse()


def test_gpu_that_one_worker_alone_sees_is_its_own():
    seen = {0: frozenset({"GPU-aaaa"}), 1: frozenset({"GPU-bbbb"})}
    assert gpu_of(0, frozenset({5}), DEVICES, seen) == GpuUse(100, 80.0)
    assert gpu_of(1, frozenset({5}), DEVICES, seen) == GpuUse(7, 20.0)
    assert gpu_of(0, frozenset({5}), [], {}) == GpuUse()


def test_use_of_devices_leaves_out_what_is_not_known():
    assert gpu_use([FIRST, CUT_UP]) == GpuUse(150, 80.0)
    assert gpu_use([CUT_UP]) == GpuUse(50, -1.0)
    assert gpu_use([]) == GpuUse()


def test_devices_that_a_process_sees_follow_from_its_variable():
    assert visible_devices({}, DEVICES) == NAMES
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "1"}, DEVICES) == {"GPU-bbbb"}
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "GPU-aa, 1"}, DEVICES) == NAMES
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "7"}, DEVICES) == set()
    assert visible_devices({"CUDA_VISIBLE_DEVICES": ""}, DEVICES) == set()


def test_node_without_a_driver_has_no_library(monkeypatch):
    monkeypatch.setattr(nvml, "_SIGNS", ("/nonexistent",))
    assert nvml.open_nvml() is None


def test_driver_that_does_not_work_is_reported_once(monkeypatch, caplog):
    monkeypatch.setattr(nvml, "_SIGNS", (os.devnull,))
    monkeypatch.setattr(nvml.Nvml, "__init__", broken)
    assert nvml.open_nvml() is None
    assert "no samples of GPUs: nvmlInit_v2 returned 9" in caplog.text


def broken(self):
    raise nvml.NvmlError("nvmlInit_v2 returned 9")

"""Measures running tasks and the node in a thread, so that a slow /proc or driver delays no task and no heartbeat.

::

    loop ──ask(targets), once an interval──> thread: one look at /proc, at the node, at the GPUs ──> take ──> loop
             └─the last look is not over: this one is left out

A task's GPUs are those on which its processes have memory. Where the driver's numbers of processes are not ours, as in
many containers, they are the devices that its worker alone sees.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.manager.usage.node import NodeMeter
from cnflow.manager.usage.nvml import open_nvml
from cnflow.manager.usage.processes import ProcessTable
from cnflow.tasks.control_groups import usable_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.manager.usage.node import NodeState
    from cnflow.manager.usage.nvml import DeviceUse, Nvml
    from cnflow.manager.usage.processes import TreeUse

logger = logging.getLogger(__name__)


class Target(NamedTuple):
    """A task that runs."""

    worker: int
    pid: int
    task: int
    attempt: int


class GpuUse(NamedTuple):
    """Use of GPUs; below 0 where there is none, or it is not known."""

    used: int = -1
    """Bytes."""

    percent: float = -1.0
    """Mean of the devices."""


class Look(NamedTuple):
    """What was in use at one moment."""

    time: float
    tasks: list[tuple[Target, TreeUse, GpuUse]]
    node: NodeState
    cpu_percent: float
    gpu: GpuUse
    memory: float
    """Bytes of the node."""


class Sampler:
    """The thread, which ends with its process; see the module. Nothing of it blocks the caller."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[list[Target]] = queue.SimpleQueue()
        self._looks: queue.SimpleQueue[Look] = queue.SimpleQueue()
        self.is_looking = False
        self._thread = threading.Thread(target=self._run, name="cnflow-samples", daemon=True)
        self._thread.start()

    def ask(self, targets: list[Target]) -> None:
        """Begin to measure *targets* and the node, unless the thread still does so."""
        if not self.is_looking and self._thread.is_alive():
            self.is_looking = True
            self._asked.put(targets)

    def take(self) -> list[Look]:
        """Remove and return what was measured since the last call."""
        looks = []
        while not self._looks.empty():
            looks.append(self._looks.get())
            self.is_looking = False
        if self.is_looking and not self._thread.is_alive():
            self.is_looking = False  # it has failed, and said so in the log
        return looks

    def _run(self) -> None:
        try:
            meter, nvml, memory = NodeMeter(), open_nvml(), usable_memory()
            first, at = meter.read(), time.monotonic()
            before = first
            while True:
                targets = self._asked.get()
                node, now = meter.read(), time.monotonic()
                percent = cpu_percent(before, node, now - at, meter.cores)
                since = node._replace(read=_since(node.read, first.read), written=_since(node.written, first.written))
                self._looks.put(_look(targets, since, percent, memory, nvml))
                before, at = node, now
        except Exception:
            logger.exception("no more samples of what tasks use while they run")


def cpu_percent(before: NodeState, after: NodeState, seconds: float, cores: float) -> float:
    """Percent of *cores* that were in use between two states; below 0 if that is not known."""
    if before.cpu < 0 or after.cpu < 0 or seconds <= 0 or cores <= 0:
        return -1.0
    return min(100.0, max(0.0, 100.0 * (after.cpu - before.cpu) / (seconds * cores)))


def _since(value: int, first: int) -> int:
    return max(0, value - first) if value >= 0 else -1


def _look(targets: list[Target], node: NodeState, percent: float, memory: float, nvml: Optional[Nvml]) -> Look:
    table = ProcessTable()
    devices = nvml.read() if nvml is not None else []
    found = [(target, use) for target in targets if (use := table.use_of(target.pid)) is not None]
    seen = {target.worker: visible_devices(_environment(target.pid), devices) for target, _ in found} if devices else {}
    tasks = [(target, use, gpu_of(target.worker, use.pids, devices, seen)) for target, use in found]
    return Look(time.time(), tasks, node, percent, gpu_use(devices), memory)


def gpu_use(devices: Sequence[DeviceUse]) -> GpuUse:
    """Use of all *devices*."""
    used = [device.used for device in devices if device.used >= 0]
    percents = [device.percent for device in devices if device.percent >= 0]
    return GpuUse(sum(used) if used else -1, sum(percents) / len(percents) if percents else -1.0)


def gpu_of(
    worker: int, pids: frozenset[int], devices: Sequence[DeviceUse], seen: Mapping[int, frozenset[str]]
) -> GpuUse:
    """Use by the task of *worker*, whose processes are *pids*.

    Args:
        worker: rank.
        pids: of the task.
        devices: of the node.
        seen: devices that the worker of each running task sees.
    """
    own = [device for device in devices if not pids.isdisjoint(device.processes)]
    if own:
        used = sum(size for device in own for pid, size in device.processes.items() if pid in pids)
        return GpuUse(used, gpu_use(own).percent)
    others = {uuid for other, uuids in seen.items() if other != worker for uuid in uuids}
    return gpu_use([device for device in devices if device.uuid in seen.get(worker, ()) and device.uuid not in others])


def visible_devices(environment: Mapping[str, str], devices: Sequence[DeviceUse]) -> frozenset[str]:
    """Devices that a process with *environment* sees, in the driver's order of numbers.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return frozenset(device.uuid for device in devices)
    found: set[str] = set()
    for name in map(str.strip, named.split(",")):
        if name.isdecimal():
            found.update(device.uuid for device in devices[int(name) : int(name) + 1])
        elif name.startswith("GPU-"):
            found.update(device.uuid for device in devices if device.uuid.startswith(name))
    return frozenset(found)


def _environment(pid: int) -> dict[str, str]:
    """Variables that a process was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as in `processes`
            words = file.read().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)

"""Makes samples of what tasks use, and one message of them a second.

::

    worker ──USAGE, before each result──> on_records ──minus what was before the task──┐ final
    worker's end ──rusage of its process──> on_exit ───────────────────────────────────┤ final
    sampler ──look, once an interval──> what tasks and node use now ───────────────────┴─> at most LIMIT samples
                                                               take, once a PERIOD, or when nothing runs ─┘

A worker's counters are since its start. Those of a task begin where those of the task before it ended: a worker that
waits uses nothing. The peak of memory is the higher one of two: that of the worker's report, which is exact for one
process, and the sum over all processes of the task, which is known only at each look.
"""

from __future__ import annotations

import math
import resource
import struct
import time
from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.ids import BlockId
from cnflow.manager.usage.sampler import Sampler, Target
from cnflow.model.samples import NodeUse, TaskSample, pack
from cnflow.units import Seconds
from cnflow.wire import pipe
from cnflow.wire.manager_messages import Samples
from cnflow.wire.usage import Usage, unpack_usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Callable

    from cnflow.ids import ManagerId, TaskId
    from cnflow.manager.usage.processes import TreeUse
    from cnflow.manager.usage.sampler import GpuUse, Look

PERIOD = Seconds(1.0)
LIMIT = 20_000
"""Samples that wait for the next message: some 2 MB."""

_UNIT = 1024
_BLOCK = 512


_NOTHING = Usage(0.0, 0.0, 0, 0, 0, 0, 0)


class Running(NamedTuple):
    """Task that a worker runs."""

    pid: int
    """Process of the worker."""

    task: TaskId
    attempt: int


class _Peak(NamedTuple):
    """Highest values of a task that runs, in bytes."""

    task: int
    attempt: int
    resident: int = -1
    gpu: int = -1


class TaskSamples:
    """Samples of one manager; see the module.

    Args:
        manager: id of the manager.
        block: id of its block.
        host: name of its node.
        interval: seconds between looks; 0 takes none, and None measures nothing at all.
        make_sampler: a test passes its own.
        used_by_ended: what all workers have used that ended; a test passes its own.
    """

    def __init__(
        self,
        manager: ManagerId,
        block: str,
        host: str,
        interval: Optional[float],
        make_sampler: Callable[[], Sampler] = Sampler,
        used_by_ended: Optional[Callable[[], Usage]] = None,
    ) -> None:
        self.is_on = interval is not None
        self._place = manager, BlockId(block), host
        self._interval = interval or 0.0
        self._sampler = make_sampler() if interval else None
        self._used_by_ended = used_by_ended or _used_by_ended
        self._ended = self._used_by_ended() if self.is_on else _NOTHING
        self._before: dict[int, Usage] = {}  # counters of each worker at the end of its last task
        self._peaks: dict[int, _Peak] = {}
        self._samples: list[TaskSample] = []
        self._nodes: list[NodeUse] = []
        self._dropped = 0
        self._sent_at = self._asked_at = Seconds(-math.inf)

    @property
    def order(self) -> list[pipe.Part]:
        """Record that makes a worker report what it uses; empty if nothing is measured."""
        return pipe.pack(pipe.ToWorker.SEND_USAGE, 0, 0.0, []) if self.is_on else []

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `take`; infinite while there is nothing to do."""
        if self._samples or self._nodes or self._dropped or (self._sampler is not None and self._sampler.is_looking):
            return Seconds(self._sent_at + PERIOD)
        return Seconds(self._asked_at + self._interval if self._sampler is not None else math.inf)

    def on_records(
        self, worker: int, pid: int, records: list[pipe.Record], attempts: Callable[[], Mapping[TaskId, int]]
    ) -> list[pipe.Record]:
        """Take the reports of *worker* out of *records*, and return the others.

        Args:
            worker: rank.
            pid: of its process.
            records: that it has written.
            attempts: numbers of attempts by task, of those that it holds.
        """
        if not self.is_on or not any(record.type == pipe.ResultKind.USAGE for record in records):
            return records
        numbers, rest = attempts(), []
        for record in records:
            if record.type != pipe.ResultKind.USAGE:
                rest.append(record)
            elif (usage := _usage_of(record)) is not None:
                before, self._before[worker] = self._before.get(worker), usage
                attempt = numbers.get(record.id)  # type: ignore[call-overload]  # an id of a task, from a worker
                if before is not None and attempt is not None:
                    self._add_final(worker, Running(pid, record.id, attempt), record.seconds, usage, before)  # type: ignore[arg-type]  # the same
        return rest

    def on_exit(self, worker: int, running: Optional[Running]) -> None:
        """Note what the task *running* has used in *worker*, whose process has ended and was waited for."""
        if not self.is_on:
            return
        before, ended, self._ended = self._before.pop(worker, None), self._ended, self._used_by_ended()
        if before is not None and running is not None:
            usage = _difference(_difference(self._ended, ended), before)
            peak = self._ended.peak if self._ended.peak > ended.peak else -1
            self._add_final(worker, running, time.time(), usage._replace(peak=peak), _NOTHING)

    def take(
        self, now: Seconds, running: Callable[[], Mapping[int, Running]], *, is_last: bool = False
    ) -> Optional[Samples]:
        """Begin a look if one is due, and return the message to send now; None if nothing is due.

        Args:
            now: time.
            running: tasks that run, by rank of their worker.
            is_last: nothing runs, and the run may end: send what there is.
        """
        if self._sampler is not None:
            self._follow(self._sampler, now, running)
        if not (self._samples or self._nodes or self._dropped) or (now < self._sent_at + PERIOD and not is_last):
            return None
        self._sent_at = now
        message = Samples(*self._place, len(self._samples), pack(self._samples), self._nodes, self._dropped)
        self._samples, self._nodes, self._dropped = [], [], 0
        return message

    def _follow(self, sampler: Sampler, now: Seconds, running: Callable[[], Mapping[int, Running]]) -> None:
        looks = sampler.take()
        if looks:
            present = running()
            for look in looks:
                self._on_look(look, present)
        if now >= self._asked_at + self._interval:
            self._asked_at = now
            targets = [Target(rank, *each) for rank, each in running().items() if rank in self._before]
            sampler.ask(targets)

    def _on_look(self, look: Look, running: Mapping[int, Running]) -> None:
        node = look.node
        use = NodeUse(
            look.time, look.cpu_percent, node.memory, node.read, node.written, *look.gpu, busy_workers=len(running)
        )
        self._nodes.append(use)
        for target, tree, gpu in look.tasks:
            before = self._before.get(target.worker)
            if before is not None and running.get(target.worker) == target[1:]:  # else it has ended by now
                self._add(_sample(target, tree, gpu, before, look, self._interval))
                peak = self._peak(target.worker, target.task, target.attempt)
                highest = _Peak(*peak[:2], max(peak.resident, tree.resident), max(peak.gpu, gpu.used))
                self._peaks[target.worker] = highest

    def _add_final(self, worker: int, running: Running, at: float, usage: Usage, before: Usage) -> None:
        peak = self._peaks.pop(worker, None)
        if peak is None or peak.task != running.task or peak.attempt != running.attempt:
            peak = _NO_PEAK
        sample = TaskSample(
            at,
            worker,
            running.task,
            running.attempt,
            running.pid,
            is_final=True,
            user_seconds=usage.user - before.user,
            system_seconds=usage.system - before.system,
            peak_bytes=max(usage.peak, peak.resident),
            read_bytes=usage.read - before.read,
            written_bytes=usage.written - before.written,
            voluntary_switches=usage.voluntary - before.voluntary,
            involuntary_switches=usage.involuntary - before.involuntary,
            gpu_bytes=peak.gpu,
        )
        self._add(sample)

    def _peak(self, worker: int, task: int, attempt: int) -> _Peak:
        peak = self._peaks.get(worker)
        return peak if peak is not None and peak[:2] == (task, attempt) else _Peak(task, attempt)

    def _add(self, sample: TaskSample) -> None:
        if len(self._samples) < LIMIT:
            self._samples.append(sample)
        else:
            self._dropped += 1


def _sample(target: Target, tree: TreeUse, gpu: GpuUse, before: Usage, look: Look, interval: float) -> TaskSample:
    return TaskSample(
        look.time,
        target.worker,
        target.task,
        target.attempt,
        target.pid,
        interval,
        user_seconds=max(0.0, tree.user - before.user),
        system_seconds=max(0.0, tree.system - before.system),
        resident_bytes=tree.resident,
        virtual_bytes=tree.virtual,
        memory_percent=100.0 * tree.resident / look.memory if look.memory > 0 else -1.0,
        read_bytes=_since(tree.read, before.read),
        written_bytes=_since(tree.written, before.written),
        children=len(tree.pids) - 1,
        status=tree.status,
        core=tree.core,
        voluntary_switches=_since(tree.voluntary, before.voluntary),
        involuntary_switches=_since(tree.involuntary, before.involuntary),
        gpu_bytes=gpu.used,
        gpu_percent=gpu.percent,
    )


def _since(value: int, before: int) -> int:
    return max(0, value - before) if value >= 0 else -1


_NO_PEAK = _Peak(-1, -1)


def _difference(after: Usage, before: Usage) -> Usage:
    """*after* less *before*, and nothing where that is less than nothing."""
    return Usage(
        max(0.0, after.user - before.user),
        max(0.0, after.system - before.system),
        after.peak,
        max(0, after.read - before.read),
        max(0, after.written - before.written),
        max(0, after.voluntary - before.voluntary),
        max(0, after.involuntary - before.involuntary),
    )


def _usage_of(record: pipe.Record) -> Optional[Usage]:
    try:
        return unpack_usage(record.parts[0])
    except (IndexError, struct.error):
        return None


def _used_by_ended() -> Usage:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        used.ru_utime,
        used.ru_stime,
        used.ru_maxrss * _UNIT,
        used.ru_inblock * _BLOCK,
        used.ru_oublock * _BLOCK,
        used.ru_nvcsw,
        used.ru_nivcsw,
    )

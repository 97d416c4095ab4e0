"""Measures what a worker uses, for the sample that each task has at its end, however short it is.

::

    begin ──> the task ──> record: getrusage(2) of the worker and of what it has waited for, since its start;
                             the manager subtracts what was there before the task
                           peak: `VmHWM`, which is reset where a task has raised it

`getrusage` costs 2 to 4 microseconds. The peak costs 15 more, which a task of less than `_WORTH_PEAK` is spared: it
can touch no more than some 10 MB in that time, so that the memory in use before it stands for its own.
"""

from __future__ import annotations

import resource
import sys
import time

from cnflow.tasks.command_peak import commands
from cnflow.wire.pipe import ResultKind, pack
from cnflow.wire.usage import Usage, pack_usage

_BLOCK = 512
"""Bytes of a unit of `ru_inblock` and `ru_oublock`: https://man7.org/linux/man-pages/man2/getrusage.2.html."""

_UNIT = 1 if sys.platform == "darwin" else 1024
_WORTH_PEAK = 0.005
"""Seconds."""

_WORTH_RESET = 2**20
"""Bytes by which the peak exceeds what is in use."""


class UsageMeter:
    """Meter of this process; see the module."""

    def __init__(self) -> None:
        commands.is_on = True
        self._began = 0.0
        self._resident = 0  # at the last look
        self._highest = 0  # of this process and of its children, as getrusage has them: they never fall
        self._highest_child = 0

    def begin(self) -> None:
        """Note that a task begins."""
        self._began = time.perf_counter()

    def record(self, task: int) -> bytes:
        """Return the record of what was used until now, at the end of *task*."""
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        usage = Usage(
            own.ru_utime + children.ru_utime,
            own.ru_stime + children.ru_stime,
            self._peak(own.ru_maxrss * _UNIT, children.ru_maxrss * _UNIT),
            (own.ru_inblock + children.ru_inblock) * _BLOCK,
            (own.ru_oublock + children.ru_oublock) * _BLOCK,
            own.ru_nvcsw + children.ru_nvcsw,
            own.ru_nivcsw + children.ru_nivcsw,
        )
        return b"".join(pack(ResultKind.USAGE, task, time.time(), [pack_usage(usage)]))

    def _peak(self, highest: int, highest_child: int) -> int:
        is_worth_it = highest > self._highest or time.perf_counter() - self._began >= _WORTH_PEAK
        own = self._own_peak(highest) if is_worth_it else self._resident
        child = commands.take()
        if highest_child > self._highest_child:
            child, self._highest_child = max(child, highest_child), highest_child
        self._highest = highest
        return max(own, child)

    def _own_peak(self, highest: int) -> int:
        """Peak of this process since the last call that has reset it."""
        peak, self._resident = _memory()
        if not peak:  # no Linux, or one without these lines
            self._resident = highest
            return highest
        if peak - self._resident > _WORTH_RESET:
            _reset_peak()
        return peak


def _memory() -> tuple[int, int]:
    """Most memory that this process has had, and what it has now, in bytes; zeros where it is not known."""
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:
            status = file.read()
        peak, resident = (int(status.partition(name)[2].split(None, 1)[0]) for name in (b"VmHWM:", b"VmRSS:"))
    except (OSError, IndexError, ValueError):
        return 0, 0
    return peak * 1024, resident * 1024


def _reset_peak() -> None:
    """Set the peak to the memory in use: https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html."""
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as file:
            file.write(b"5")
    except OSError:
        return  # a peak is that of all tasks so far, then

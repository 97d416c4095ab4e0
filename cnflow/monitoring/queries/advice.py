"""Advice on what tasks should ask for, from what they asked for and used. No I/O.

::

    memory   killed for it, or close to what was asked for ──> ask for more
             far below it ──> ask for less: more tasks fit a node
    cores    more in use than asked for ──> ask for more, or limit the threads
             far fewer ──> ask for fewer
    GPUs     hardly in use ──> several tasks may share one

A statement needs tasks enough to be based on: `_FEWEST` that were measured.
"""

from __future__ import annotations

import math

import msgspec

from cnflow.text import amount_of_memory as _size

_FEWEST = 3
_SHORT = 1.0
"""Seconds; the cores of shorter tasks say little, since their start counts in full."""

_CLOSE = 0.9
_FAR = 0.5
_SPARE = 1.2
"""Factor of the memory that is advised to the highest that was seen."""

_MORE = 0.5
"""Cores that a task uses beyond those that it asked for."""

_ROUNDING = 0.1
_IDLE_GPU = 15.0
"""Percent."""

_MIB = 2**20
_STEP = 64 * _MIB


class Measured(msgspec.Struct, kw_only=True, frozen=True):
    """What the tasks of one app asked for and used; None is not known."""

    tasks: int
    """Number of those that were measured."""

    out_of_memory: int = 0
    """Tries that the kernel ended for memory."""

    asked_cores: float | None = None
    used_cores: float | None = None
    mean_seconds: float | None = None
    asked_memory: int | None = None
    peak_memory: int | None = None
    gpus: float | None = None
    gpu_percent: float | None = None


def advise(measured: Measured) -> str:
    """Return advice in sentences; empty if there is none to give."""
    if measured.out_of_memory:
        return " ".join(filter(None, (_on_killed(measured), _on_cores(measured), _on_gpus(measured))))
    if measured.tasks < _FEWEST:
        return ""
    return " ".join(filter(None, (_on_memory(measured), _on_cores(measured), _on_gpus(measured))))


def _on_killed(measured: Measured) -> str:
    known = [size for size in (measured.asked_memory, measured.peak_memory) if size]
    tries = "1 try was" if measured.out_of_memory == 1 else f"{measured.out_of_memory} tries were"
    advised = f"memory={_size(2 * max(known))!r}" if known else "a larger memory="
    return f"{tries} ended because memory ran out: ask for {advised}."


def _on_memory(measured: Measured) -> str:
    asked, peak = measured.asked_memory, measured.peak_memory
    if not asked or not peak:
        return ""
    advised = _rounded(peak * _SPARE)
    if peak > _CLOSE * asked:
        return f"The largest task used {_size(peak)} of {_size(asked)}: ask for memory={_size(advised)!r}."
    if advised < _FAR * asked:
        return (
            f"No task used more than {_size(peak)} of {_size(asked)}: with memory={_size(advised)!r}, "
            f"{asked / advised:.0f} times as many fit a node."
        )
    return ""


def _on_cores(measured: Measured) -> str:
    used, asked = measured.used_cores, measured.asked_cores
    if used is None or measured.tasks < _FEWEST or (measured.mean_seconds or 0.0) < _SHORT:
        return ""
    enough = max(1, math.ceil(used - _ROUNDING))
    if used > (1.0 if asked is None else asked) + _MORE:
        known = "" if asked is None else f" and asked for {asked:g}"
        return f"A task keeps {used:.1f} cores busy{known}: ask for cores={enough}, or limit OMP_NUM_THREADS."
    if asked is not None and used < _FAR * asked and enough < asked:
        return f"A task keeps {used:.1f} of {asked:g} cores busy: cores={enough} are enough."
    return ""


def _on_gpus(measured: Measured) -> str:
    percent = measured.gpu_percent
    if percent is None or not measured.gpus or measured.tasks < _FEWEST or percent >= _IDLE_GPU:
        return ""
    return f"GPUs are in use {percent:.0f} % of the time: let several tasks share one."


def _rounded(size: float) -> int:
    return math.ceil(size / _STEP) * _STEP

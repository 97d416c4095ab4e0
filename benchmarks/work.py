"""Works that are measured: each is a function of a started system, and returns figures.

A slow system gets fewer tasks: as many as fit in the budget, estimated by a small try, which also warms the system up.
The figure ``n`` is their number.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import functions
from benchmarks.systems.base import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.systems.base import Submit, System

Figures = dict[str, float]


class NotApplicableError(Exception):
    """The system cannot do the work, for the reason in the message."""


class Sizes(NamedTuple):
    """Number of tasks of each work."""

    burst: int = 10_000
    trips: int = 1_000
    chain: int = 2_000
    fan: int = 10_000
    bash: int = 1_000
    megabytes: int = 64
    arrays: int = 16
    memory: int = 100_000
    fresh: int = 10
    budget: float = 4.0
    """Approximate seconds of one work; `memory` gets ten times as much."""


def trip(system: System, sizes: Sizes) -> Figures:
    """Sequential round trips of a no-op."""
    app = system.app(functions.noop)
    n = _fit(sizes.trips, sizes.budget, lambda k: [system.results([app()]) for _ in range(k)], 20)
    times = sorted(_measure(lambda: system.results([app()])) for _ in range(n))
    return {"p50_ms": times[n // 2] * 1e3, "p99_ms": times[n * 99 // 100] * 1e3, "n": n}


def burst(system: System, sizes: Sizes) -> Figures:
    """No-ops, submitted in a loop and then collected."""
    app = system.app(functions.noop)

    def run(k: int) -> None:
        system.results([app() for _ in range(k)])

    n = _fit(sizes.burst, sizes.budget, run)
    return {"per_s": n / _measure(lambda: run(n)), "n": n}


def large(system: System, sizes: Sizes) -> Figures:
    """Burst of ten times as many no-ops."""
    return burst(system, sizes._replace(burst=10 * sizes.burst, budget=10 * sizes.budget))


def chain(system: System, sizes: Sizes) -> Figures:
    """Tasks that each take the result of the one before."""
    if not system.links:
        raise NotApplicableError("results are not passed from task to task")
    app = system.app(functions.inc)

    def run(k: int) -> None:
        handle: Any = 0
        for _ in range(k):
            handle = app(handle)
        assert system.results([handle]) == [k]

    n = _fit(sizes.chain, sizes.budget, run)
    return {"per_s": n / _measure(lambda: run(n)), "n": n}


def fan(system: System, sizes: Sizes) -> Figures:
    """Many tasks, and one that takes the results of all."""
    if not system.links:
        raise NotApplicableError("results are not passed from task to task")
    app, end = system.app(functions.noop), system.app(functions.count)

    def run(k: int) -> None:
        assert system.results([end(*[app() for _ in range(k)])]) == [k]

    n = _fit(sizes.fan, sizes.budget, run)
    return {"per_s": n / _measure(lambda: run(n)), "n": n}


def megabytes(system: System, sizes: Sizes) -> Figures:
    """Values of 1 MB, sent and returned, all submitted at once; both ways count."""
    return _payload(system, [os.urandom(10**6) for _ in range(sizes.megabytes)], 10**6, sizes)


def arrays(system: System, sizes: Sizes) -> Figures:
    """NumPy arrays of 8 MB, sent and returned."""
    try:
        import numpy as np
    except ImportError:
        raise NotApplicableError("no numpy in this environment") from None
    if not system.shares_files:  # a container, whose image has no numpy
        raise NotApplicableError("no numpy in the image")
    return _payload(system, [np.full(10**6, float(n)) for n in range(sizes.arrays)], 8 * 10**6, sizes)


def _payload(system: System, values: list[Any], size: int, sizes: Sizes) -> Figures:
    if not system.copies:
        raise NotApplicableError("threads pass references")
    app = system.app(functions.echo)

    def run(k: int) -> None:
        back = system.results([app(value) for value in values[:k]])
        assert [len(value) for value in back] == [len(value) for value in values[:k]]

    n = _fit(len(values), sizes.budget, run, 4)
    return {"mb_per_s": 2 * n * size / 1e6 / _measure(lambda: run(n)), "n": n}


def bash(system: System, sizes: Sizes) -> Figures:
    """Shell commands: ``true``."""
    app = system.bash("true")
    if app is None:
        raise NotApplicableError("no shell commands")

    def run(submit: Submit, k: int) -> None:
        assert system.results([submit() for _ in range(k)]) == [0] * k

    n = _fit(sizes.bash, sizes.budget, lambda k: run(app, k))
    figures = {"per_s": n / _measure(lambda: run(app, n)), "n": n}
    same = system.bash_itself()
    if same is not None:
        figures["same_per_s"] = n / _measure(lambda: run(same, n))
    return figures


def memory(system: System, sizes: Sizes) -> Figures:
    """Growth of the driver's memory while tasks wait behind two that keep the workers busy; then all are collected."""
    if not system.shares_files:
        raise NotApplicableError("the workers do not see the file that ends the wait")
    app, hold = system.app(functions.noop), system.app(functions.wait_for)
    n = _fit(sizes.memory, 10 * sizes.budget, lambda k: system.results([app() for _ in range(k)]), 1_000)
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder) / "gate"
        held = [hold(str(gate)) for _ in range(WORKERS)]
        gc.collect()
        before = _resident()
        waiting = [app() for _ in range(n)]
        after = _resident_at_rest()
        gate.touch()
        seconds = _measure(lambda: system.results([*held, *waiting]))
    return {"bytes": (after - before) / n, "n": n, "collect_s": seconds}


def fresh(system: System, sizes: Sizes) -> Figures:
    """No-ops with a container of their own: one after the other, and at once."""
    app = system.fresh(functions.noop)
    if app is None:
        raise NotApplicableError("no container for each task")
    system.results([app()])  # starts what is kept ready
    n = sizes.fresh
    each = _measure(lambda: [system.results([app()]) for _ in range(n)]) / n
    return {"each_s": each, "per_s": n / _measure(lambda: system.results([app() for _ in range(n)])), "n": n}


def _resident_at_rest() -> int:
    """Resident bytes once they no longer grow: a thread may still be sending tasks."""
    last = 0
    while (now := _resident()) > last + 1_000_000:
        last = now
        time.sleep(0.5)
    return now


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _fit(most: int, budget: float, run: Callable[[int], object], few: int = 100) -> int:
    """Estimate how many of *most* tasks fit into *budget* seconds, by running *few* or, if that is too short, more."""
    few = min(few, most)
    run(few)
    while (seconds := _measure(partial(run, few))) < min(budget / 50, 0.2) and few < most:
        few = min(10 * few, most)
    return min(most, max(few, int(budget * few / seconds)))


def _measure(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


class Work(NamedTuple):
    """Function of a work, and the seconds after which it is given up."""

    run: Callable[[System, Sizes], Figures]
    limit: float = 90.0


WORKS = {
    "trip": Work(trip),
    "burst": Work(burst),
    "large": Work(large, 300.0),
    "chain": Work(chain),
    "fan": Work(fan),
    "megabytes": Work(megabytes),
    "arrays": Work(arrays),
    "bash": Work(bash),
    "memory": Work(memory, 300.0),
    "fresh": Work(fresh, 300.0),
}
"""Works by name. ``first`` (start to first result) and ``stop`` are measured with every start by `child`."""

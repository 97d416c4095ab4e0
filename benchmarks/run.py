"""Start-up, throughput and latency of no-op tasks, beside Python's own process pool in the same run.

Usage: python benchmarks/run.py [--tasks N] [--repeat N] [--json]

Each system runs in a process of its own, one after the other, with two workers. Read the ratios:
machines differ and are shared, and the best of several repeats is the least disturbed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = 2
TRIPS = 500
BASELINE = "ProcessPoolExecutor"


class Figures(NamedTuple):
    """What one system did."""

    first_result_s: float
    """From before the import to the first result."""

    tasks_per_s: float
    """No-ops submitted in a loop and all collected."""

    round_trip_p50_ms: float
    round_trip_p99_ms: float
    """One no-op at a time."""


def noop() -> None:
    """Do nothing."""


def cnflow_high_throughput(tasks: int, repeat: int) -> Figures:
    """The whole stack: kernel, interchange, manager, worker processes on this machine."""
    begin = time.perf_counter()
    from cnflow.executors import HighThroughputExecutor

    return _cnflow(HighThroughputExecutor(max_workers=WORKERS), begin, tasks, repeat)


def cnflow_threads(tasks: int, repeat: int) -> Figures:
    """The kernel over threads of the driver."""
    begin = time.perf_counter()
    from cnflow.executors import ThreadPoolExecutor

    return _cnflow(ThreadPoolExecutor(max_threads=WORKERS), begin, tasks, repeat)


def process_pool(tasks: int, repeat: int) -> Figures:
    """Python's own, as it comes; it forks, so its start is not comparable with a fresh interpreter's."""
    begin = time.perf_counter()
    with concurrent.futures.ProcessPoolExecutor(WORKERS) as pool:
        return _measure(lambda: pool.submit(noop), begin, tasks, repeat)


def _cnflow(executor: Any, begin: float, tasks: int, repeat: int) -> Figures:  # noqa: ANN401 - any executor's settings
    import cnflow

    app = cnflow.python_app(noop)
    with tempfile.TemporaryDirectory() as folder, cnflow.load(cnflow.Config(executors=[executor], run_dir=folder)):
        return _measure(app, begin, tasks, repeat)


def _measure(submit: Callable[[], Any], begin: float, tasks: int, repeat: int) -> Figures:
    submit().result()
    first = time.perf_counter() - begin
    rate = max(_rate(submit, tasks) for _ in range(repeat))
    trips = sorted(_timed(lambda: submit().result()) for _ in range(TRIPS))
    return Figures(first, rate, trips[TRIPS // 2] * 1e3, trips[TRIPS * 99 // 100] * 1e3)


def _rate(submit: Callable[[], Any], tasks: int) -> float:
    return tasks / _timed(lambda: [future.result() for future in [submit() for _ in range(tasks)]])


def _timed(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


SYSTEMS = {
    "cnflow HighThroughputExecutor": cnflow_high_throughput,
    "cnflow ThreadPoolExecutor": cnflow_threads,
    BASELINE: process_pool,
}


def _in_own_process(name: str, tasks: int, repeat: int) -> Figures:
    command = [sys.executable, __file__, "--only", name, "--tasks", str(tasks), "--repeat", str(repeat)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Figures(*json.loads(done.stdout))


def _print_table(figures: dict[str, Figures], tasks: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{tasks:,} no-op tasks, {WORKERS} workers; in brackets: times {BASELINE}")
    for heading in ("system", "first result s", "tasks/s", "round trip p50 ms", "p99 ms"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    base = figures[BASELINE]
    for name, row in figures.items():
        cells = (
            f"{value:,.{places}f} ({value / reference:.2f})"
            for value, reference, places in zip(row, base, (3, 0, 3, 3), strict=True)
        )
        table.add_row(name, *cells)
    console = Console()
    console.width = max(console.width, 110)  # a narrower table breaks its words; a file has no width at all
    console.print(table)


def main() -> None:
    """Measure all and print, or measure one for the parent process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", type=int, default=10_000, help="no-op tasks in a burst")
    parser.add_argument("--repeat", type=int, default=3, help="bursts; the best counts")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--only", choices=SYSTEMS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(SYSTEMS[given.only](given.tasks, given.repeat)))
        return
    figures = {name: _in_own_process(name, given.tasks, given.repeat) for name in SYSTEMS}
    if given.json:
        print(json.dumps({name: row._asdict() for name, row in figures.items()}, indent=2))
    else:
        _print_table(figures, given.tasks)


if __name__ == "__main__":
    main()

"""``make bench-monitoring``: cost of monitoring, and a run whose every row is compared with the driver's own count.

::

    off, on, off, on, ... ──> rates and CPU of the driver: no-ops, and tasks of 10 ms
    one run of many tasks ──> seconds until the database has all, and what is wrong in it: nothing
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cnflow
from cnflow.config import MonitoringHub
from cnflow.executors import HighThroughputExecutor

if TYPE_CHECKING:
    from cnflow.dataflow import DataFlowKernel

_WARM_UP = 2_000


@cnflow.python_app
def nothing() -> None:
    """Do nothing."""


@cnflow.python_app
def sleep(seconds: float) -> None:
    """Sleep, as a task does that waits for a disk."""
    import time

    time.sleep(seconds)


class Rate(NamedTuple):
    """Speed of one run."""

    per_second: float
    cpu: float
    """Seconds of the driver, for each task."""


def main() -> int:
    """Measure, and compare every row; 1 if one is wrong."""
    options = _arguments()
    for name, number, seconds in (("no-ops", options.noops, None), ("tasks of 10 ms", options.sleeps, 0.01)):
        if number:
            _compare(name, number, seconds, options.repeat)
    return _check_rows(options.tasks, options.wait) if options.tasks else 0


def _compare(name: str, number: int, seconds: float | None, repeat: int) -> None:
    rates: dict[bool, list[Rate]] = {False: [], True: []}
    for turn in range(repeat):
        for is_on in (turn % 2 == 0, turn % 2 == 1):
            rates[is_on].append(_rate(number, seconds, is_on=is_on))
    rate = {is_on: statistics.median(each.per_second for each in found) for is_on, found in rates.items()}
    best = {is_on: max(each.per_second for each in found) for is_on, found in rates.items()}
    cpu = {is_on: min(each.cpu for each in found) for is_on, found in rates.items()}
    print(
        f"{name}: off {rate[False]:,.0f}/s, on {rate[True]:,.0f}/s; on/off {rate[True] / rate[False]:.2f} (median), "
        f"{best[True] / best[False]:.2f} (best); CPU of the driver for a task: off {cpu[False] * 1e6:.1f} us, "
        f"on {cpu[True] * 1e6:.1f} us"
    )


def _rate(number: int, seconds: float | None, *, is_on: bool) -> Rate:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _run(folder, is_on=is_on):
        for future in [nothing() for _ in range(min(_WARM_UP, number))]:
            future.result()
        begin, cpu = time.perf_counter(), time.process_time()
        futures = [nothing() if seconds is None else sleep(seconds) for _ in range(number)]
        for future in futures:
            future.result()
        return Rate(number / (time.perf_counter() - begin), (time.process_time() - cpu) / number)


def _run(folder: str, *, is_on: bool) -> DataFlowKernel:
    executor = HighThroughputExecutor(max_workers=os.cpu_count() or 1)
    return cnflow.load(
        cnflow.Config(executors=[executor], run_dir=folder, monitoring=MonitoringHub() if is_on else None)
    )


def _check_rows(number: int, wait: float) -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        begin = time.perf_counter()
        with _run(folder, is_on=True) as run:
            for _ in range(number):
                nothing()
            cnflow.wait_for_current_tasks()
            took = time.perf_counter() - begin
            counts = {state.name.lower(): count for state, count in run.task_counts().items() if count}
            journal = (Path(run.run_dir) / "monitoring.journal").stat().st_size  # removed once it is in the database
            ending = time.perf_counter()
        ended = time.perf_counter()
        database = Path(folder, "monitoring.db")
        while not _is_complete(database) and time.perf_counter() < ended + wait:
            time.sleep(1)
        wrong = _differences(database, counts)
        complete, end = time.perf_counter() - ending, ended - ending
        print(
            f"{number:,} tasks in {took:.0f} s; end of the run {end:.0f} s; all in the database after {complete:.0f} s"
        )
        print(f"journal {journal / number:.0f} bytes a task, database {database.stat().st_size / number:.0f} bytes")
        print("\n".join(wrong) or f"every row is right: {counts}")
        return 1 if wrong else 0


def _is_complete(database: Path) -> bool:
    return _rows(database, "select state from workflow") == [("ended",)]


def _differences(database: Path, counts: dict[str, int]) -> list[str]:
    """Return what is wrong with the rows, compared with the *counts* of the driver."""
    found = dict(_rows(database, "select task_state, count(*) from task group by task_state"))
    wrong = [] if found == counts else [f"table task has {found}, the driver {counts}"]
    total = sum(counts.values())
    expected = {
        "select count(*) from task": total,
        "select count(distinct task_id) from task where task_id between 0 and (select max(task_id) from task)": total,
        "select count(*) from try": total,
        "select count(*) from task where task_time_returned < task_time_invoked": 0,
        "select count(*) from task where task_time_returned is null or task_time_invoked is null": 0,
        "select tasks_count from workflow": total,
        "select tasks_completed_count from workflow": counts.get("done", 0),
        "select sum(submitted) from progress": total,
        "select sum(done) from progress": counts.get("done", 0),
    }
    for state in ("pending", "launched", "running", "exec_done"):
        query = f"select count(*) from status where task_status_name = '{state}'"  # noqa: S608 - of this list
        expected[query] = total
    for query, number in expected.items():
        answer = _rows(database, query)
        if answer != [(number,)]:
            wrong.append(f"{query}: {answer}, expected {number}")
    return wrong


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        return [(str(error),)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.monitoring", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--noops", type=int, default=50_000, help="no-ops of each run with and without; 0: none")
    parser.add_argument("--sleeps", type=int, default=2_000, help="tasks of 10 ms of each run; 0: none")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each kind")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="tasks whose rows are compared; 0: none")
    parser.add_argument("--wait", type=float, default=3600, help="seconds until the database has to be complete")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

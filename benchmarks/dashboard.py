"""Measures how long the pages of the dashboard take for a run of a million tasks.

::

    python -m benchmarks.dashboard --tasks 1000000 --check

The database is made once and kept (`--database FILE`); each page is asked for by one client, one after the other, with
other parameters each time. The aim is a p95 of all pages under 300 ms, and of a page of tasks under 200 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.monitoring_data import APPS, make_database

if TYPE_CHECKING:
    from collections.abc import Iterator

AIM = 0.3
"""Seconds of the p95 of all pages."""

TASKS_AIM = 0.2
"""Seconds of the p95 of pages of tasks."""


def addresses(tasks: int, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Yield the name and the address of each page, with parameters by chance."""
    run, number = "/runs/run-1", chance.randrange(tasks)
    yield "runs", "/?text=vari"
    for name in ("errors", "images", "files", "graph", "workers", "blocks", "nodes", "efficiency"):
        yield name, f"{run}/{name}"
    yield "run", run
    yield "task", f"{run}/tasks/{number}"
    yield "tasks", f"{run}/tasks?after={number}"
    yield "tasks of a state", f"{run}/tasks?state=failed&after={number}"
    yield "tasks of an app", f"{run}/tasks?app={APPS[number % 5]}&after={number}"
    yield "tasks of a host", f"{run}/tasks?host=node-{number % 16:03}&state=cancelled"
    yield "tasks with a text", f"{run}/tasks?text=sample-{number:07}"
    yield "tasks without it", f"{run}/tasks?text=nowhere&after={number}"
    yield "api: steps", f"/api/v1{run}/steps"
    yield "api: tasks", f"/api/v1{run}/tasks?limit=1000&after={number}"
    yield "compare", "/compare?run=run-1&run=run-1"


def measure(port: int, tasks: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each request, by page; the first round, which fills what is kept, is left out."""
    chance = random.Random(0)  # noqa: S311 - which tasks are looked at
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, address in addresses(tasks, chance):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
            begun = time.perf_counter()
            connection.request("GET", address)
            response = connection.getresponse()
            response.read()
            spent = time.perf_counter() - begun
            connection.close()
            if response.status != http.client.OK:
                raise SystemExit(f"{address} answered {response.status}")
            if number:
                found.setdefault(name, []).append(spent)
            else:
                print(f"first {name}: {spent * 1000:.0f} ms", flush=True)
    return found


def p95(times: list[float]) -> float:
    """Return the time that 95 % stay under."""
    return statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]


def main() -> int:
    """Measure, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description="Measures the pages of the dashboard.")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--database", type=Path, help="made where it is missing, and kept")
    parser.add_argument("--check", action="store_true", help="exit with 1 where an aim is missed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = given.database or Path(folder) / "monitoring.db"
        if not database.exists():
            make_database(database, tasks=given.tasks)
        order = {"url": str(database), "listen": "127.0.0.1", "port": 0, "hosts": [], "token": "", "can_act": False}
        server = subprocess.Popen(
            [sys.executable, "-m", "cnflow.monitoring.dashboard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with server:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps(order) + "\n")
            server.stdin.flush()
            answer = json.loads(server.stdout.readline())
            port = int(answer["address"].rstrip("/").rpartition(":")[2])
            found = measure(port, given.tasks, given.rounds)
            server.stdin.close()
    return report(found, check=given.check)


def report(found: dict[str, list[float]], *, check: bool) -> int:
    """Print the times; return 1 where *check* and an aim is missed."""
    for name, times in found.items():
        print(f"{name:20} median {statistics.median(times) * 1000:6.0f} ms   p95 {p95(times) * 1000:6.0f} ms")
    pages = p95([spent for times in found.values() for spent in times])
    tasks = p95([spent for name, times in found.items() if name.startswith("tasks") for spent in times])
    print(f"all pages: p95 {pages * 1000:.0f} ms (aim {AIM * 1000:.0f}); of tasks: {tasks * 1000:.0f} ms (aim 200)")
    return int(check and (pages > AIM or tasks > TASKS_AIM))


if __name__ == "__main__":
    sys.exit(main())

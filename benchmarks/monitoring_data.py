"""Writes a database of monitoring as a long run would: for pages that are measured, tested, or looked at.

::

    python -m benchmarks.monitoring_data FILE --tasks 1000000

The same seed and number of tasks make the same rows, apart from the times, which end now.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

APPS = ("align", "call_variants", "filter", "merge", "train", "<script>alert(1)</script>")
ERRORS = (
    ("MemoryError", "needs {n} MB more"),
    ("ValueError", "chromosome {n} is not known"),
    ("WorkerLostError", "the worker ended by SIGKILL"),
)
IMAGES = ("ghcr.io/lab/align@sha256:" + "a1" * 32, "docker.io/library/python@sha256:" + "b2" * 32)
BATCH = 20_000
_WORKERS = 8


def make_database(  # noqa: PLR0913 - what may differ in a run
    path: Path,
    *,
    tasks: int = 1_000,
    run: str = "run-1",
    seed: int = 0,
    nodes: int = 16,
    is_live: bool = False,
    folder: Path | None = None,
) -> None:
    """Add the run *run* to the database at *path*, which is made where there is none.

    Args:
        path: file of SQLite.
        tasks: of the run.
        run: id of the run.
        seed: of everything that is drawn by chance.
        nodes: of its blocks, four nodes each.
        is_live: leave the last hundredth of its tasks unfinished, and the run without its end.
        folder: of the run; beside the database by default.
    """
    chance = random.Random(seed)  # noqa: S311 - rows, not keys
    made = _Run(path, tasks, run, chance, nodes, is_live=is_live, folder=folder)
    create_tables(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        made.write(connection)
    connection.close()


def create_tables(path: Path) -> None:
    """Make the tables of monitoring in the file at *path*, where they are missing."""
    from sqlalchemy import create_engine

    from cnflow.monitoring.store.schema import metadata

    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        metadata.create_all(connection)
    engine.dispose()


class _Run:
    """One run, and the rows of it."""

    def __init__(  # noqa: PLR0913
        self,
        path: Path,
        tasks: int,
        run: str,
        chance: random.Random,
        nodes: int,
        *,
        is_live: bool,
        folder: Path | None,
    ) -> None:
        self.tasks, self.run, self.chance, self.nodes, self.is_live = tasks, run, chance, nodes, is_live
        self.folder = folder or path.parent / "000"
        self.span = max(tasks / 400, 60.0)
        self.end = time.time()
        self.start = self.end - self.span
        self.by_second: dict[tuple[int, str], list[float]] = {}
        self.groups: dict[str, list[Any]] = {}
        self.by_node: dict[int, list[float]] = {}
        self.by_image = dict.fromkeys(IMAGES, 0)
        self.counts = {"done": 0, "failed": 0, "cancelled": 0}

    def write(self, connection: sqlite3.Connection) -> None:
        """Write every row."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for number in range(self.tasks):
            for table, row in self.rows_of_task(number):
                rows.setdefault(table, []).append(row)
            if number % BATCH == BATCH - 1:
                _insert(connection, rows)
        for table, row in self.rows_of_run():
            rows.setdefault(table, []).append(row)
        _insert(connection, rows)

    def rows_of_task(self, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the rows of one task."""
        chance, run = self.chance, self.run
        app = APPS[number % 5] if number % 1000 else APPS[5]
        submitted = self.start + self.span * 0.9 * number / self.tasks
        launched = submitted + 0.01
        running = launched + chance.random() * 5
        seconds = chance.expovariate(0.5) + 0.01
        returned = running + seconds
        state, error, group = self._end_of(number, app, returned)
        node, worker = number % self.nodes, (number // self.nodes) % _WORKERS
        image = IMAGES[number % 2]
        needs = [number - 5] if number >= 5 and number % 5 else []  # noqa: PLR2004
        is_final = state in {"done", "failed", "cancelled"}
        self._count(app, state, (submitted, launched, returned), seconds, node, image)
        yield (
            "task",
            {
                "run_id": run,
                "task_id": number,
                "task_depends": ",".join(map(str, needs)),
                "task_func_name": app,
                "task_memoize": "False",
                "task_inputs": "None",
                "task_outputs": "None",
                "task_stdout": str(self.folder / f"task_{number}.out") if number % 7 == 0 else None,
                "task_time_invoked": _moment(submitted),
                "task_time_returned": _moment(returned) if is_final else None,
                "task_fail_count": int(state == "failed"),
                "task_fail_cost": float(state == "failed"),
                "task_state": state,
                "task_executor": "cluster",
                "task_image": image,
                "task_hostname": f"node-{node:03}" if is_final or state == "running" else None,
                "task_arguments": f"(sample-{number:07}.bam, quality={number % 40})",
                "task_resources": json.dumps({"cores": 1.0, "memory": 2 * 1024**3}),
                "task_run_seconds": seconds if is_final else None,
                "task_error": error,
                "task_error_group": group,
            },
        )
        for each in needs:
            yield "dependency", {"run_id": run, "needs": each, "task_id": number}
        yield (
            "try",
            {
                "run_id": run,
                "task_id": number,
                "try_id": 0,
                "block_id": str(node // 4),
                "hostname": f"node-{node:03}",
                "task_executor": "cluster",
                "task_try_time_launched": _moment(launched),
                "task_try_time_running": _moment(running) if state != "waiting" else None,
                "task_try_time_returned": _moment(returned) if is_final else None,
                "task_fail_history": error,
                "manager_id": f"m{node:03}",
                "worker": worker,
                "image": image,
                "state": state,
                "error_type": error.partition(":")[0] if error else None,
                "traceback": f'Traceback (most recent call last):\n  File "pipeline.py", line 7\n{error}'
                if error
                else None,
                "stderr_tail": "<b>warning</b>: low quality\n" if error else None,
                "exit_code": 1 if error else None,
                "cpu_seconds": seconds * 0.8,
                "peak_rss_bytes": 200_000_000 + number % 1_000 * 100_000,
            },
        )
        names = [("pending", submitted), ("launched", launched), ("running", running)]
        names += [({"done": "exec_done"}.get(state, state), returned)] if is_final else []
        for name, moment in names:
            yield (
                "status",
                {
                    "run_id": run,
                    "task_id": number,
                    "try_id": 0,
                    "timestamp": _moment(moment),
                    "task_status_name": name,
                },
            )
        if number % 100 == 0:
            for part in range(5):
                yield (
                    "resource",
                    {
                        "run_id": run,
                        "task_id": number,
                        "try_id": 0,
                        "timestamp": _moment(running + seconds * part / 5),
                        "resource_monitoring_interval": 1.0,
                        "psutil_process_time_user": seconds * part / 6,
                        "psutil_process_time_system": 0.01 * part,
                        "psutil_process_memory_resident": 100_000_000 + 20_000_000 * part,
                        "psutil_process_disk_read": 1_000_000 * part,
                        "psutil_process_disk_write": 200_000 * part,
                        "is_final": int(part == 4),  # noqa: PLR2004
                    },
                )
            yield (
                "file",
                {
                    "run_id": run,
                    "task_id": number,
                    "try_id": 0,
                    "direction": "in",
                    "url": f"https://data.example/samples/sample-{number:07}.bam",
                    "state": "moved",
                    "bytes": 5_000_000 + number,
                    "seconds": 0.4,
                    "hostname": f"node-{node:03}",
                    "time_started": _moment(launched),
                    "time_ended": _moment(launched + 0.4),
                },
            )

    def _end_of(self, number: int, app: str, returned: float) -> tuple[str, str | None, str | None]:
        if self.is_live and number >= self.tasks * 0.99:
            return ("running" if number < self.tasks * 0.995 else "waiting"), None, None
        draw = self.chance.random()
        if draw < 0.985:  # noqa: PLR2004
            return "done", None, None
        if draw < 0.99:  # noqa: PLR2004
            return "cancelled", None, None
        kind, words = ERRORS[number % 3]
        group = f"{kind}-{APPS.index(app)}"
        message = f"{kind}: {words.format(n=number)}"
        kept = self.groups.setdefault(group, [kind, app, message, 0, number, returned, returned])
        kept[3] += 1
        kept[6] = returned
        return "failed", message, group

    def _count(
        self, app: str, state: str, times: tuple[float, float, float], seconds: float, node: int, image: str
    ) -> None:
        submitted, launched, returned = times
        places = {"submitted": 0, "launched": 1, "done": 2, "failed": 3, "cancelled": 4}
        happened = [("submitted", submitted)]
        happened += [("launched", launched)] if state != "waiting" else []
        if state in self.counts:
            self.counts[state] += 1
            happened.append((state, returned))
            kept = self.by_node.setdefault(node, [0, 0.0])
            kept[0] += 1
            kept[1] += seconds
            self.by_image[image] += 1
            self.by_second.setdefault((int(returned), app), [0, 0, 0, 0, 0, 0.0])[5] += seconds
        for name, moment in happened:
            self.by_second.setdefault((int(moment), app), [0, 0, 0, 0, 0, 0.0])[places[name]] += 1

    def rows_of_run(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the rows that are not of one task."""
        run = self.run
        yield (
            "workflow",
            {
                "run_id": run,
                "workflow_name": "variants",
                "workflow_version": "1",
                "time_began": _moment(self.start),
                "time_completed": None if self.is_live else _moment(self.end),
                "host": "login-1",
                "user": "ada",
                "rundir": str(self.folder),
                "tasks_failed_count": self.counts["failed"],
                "tasks_completed_count": self.counts["done"],
                "tasks_cancelled_count": self.counts["cancelled"],
                "tasks_count": self.tasks,
                "samples_dropped_count": 0,
                "state": "running" if self.is_live else "ended",
                "script": "pipeline.py",
                "python": "3.11.7",
                "cnflow": "0.1.0",
                "config": "{}",
                "time_updated": _moment(self.end),
            },
        )
        for (second, app), numbers in self.by_second.items():
            names = ("submitted", "launched", "done", "failed", "cancelled", "run_seconds")
            yield (
                "progress",
                {"run_id": run, "second": second, "task_func_name": app, **dict(zip(names, numbers, strict=True))},
            )
        for group, (kind, app, message, count, task, first, last) in self.groups.items():
            yield (
                "error_group",
                {
                    "run_id": run,
                    "error_group": group,
                    "error_type": kind,
                    "task_func_name": app,
                    "message": message,
                    "count": count,
                    "first_task": task,
                    "first_time": _moment(first),
                    "last_time": _moment(last),
                },
            )
        for image in IMAGES:
            yield (
                "image",
                {
                    "run_id": run,
                    "image": image,
                    "reference": image.partition("@")[0] + ":latest",
                    "digest": image,
                    "image_id": "sha256:" + image[-64:],
                    "python": "3.11.7",
                    "packages": "5f0c",
                    "tasks_count": self.by_image[image],
                },
            )
        yield from self._rows_of_places()

    def _rows_of_places(self) -> Iterator[tuple[str, dict[str, Any]]]:
        run = self.run
        for node in range(self.nodes):
            tasks, busy = self.by_node.get(node, [0, 0.0])
            name = f"m{node:03}"
            yield (
                "node",
                {
                    "run_id": run,
                    "id": name,
                    "hostname": f"node-{node:03}",
                    "uid": name,
                    "block_id": str(node // 4),
                    "cpu_count": float(_WORKERS),
                    "total_memory": 64 * 1024**3,
                    "active": int(self.is_live),
                    "worker_count": _WORKERS,
                    "python_v": "3.11.7",
                    "timestamp": _moment(self.start + 1),
                    "last_heartbeat": _moment(self.end),
                    "executor_label": "cluster",
                    "image": IMAGES[node % 2],
                    "gpus": "NVIDIA A100" if node % 8 == 0 else "",
                    "time_ended": None if self.is_live else _moment(self.end),
                    "tasks_count": tasks,
                    "busy_seconds": busy,
                },
            )
            for part in range(60):
                yield (
                    "node_resource",
                    {
                        "run_id": run,
                        "id": name,
                        "timestamp": _moment(self.start + self.span * part / 60),
                        "cpu_percent": 60 + 30 * self.chance.random(),
                        "memory_bytes": int(1024**3 * (8 + 4 * self.chance.random())),
                        "busy_workers": _WORKERS,
                    },
                )
        states = [("pending", 0.0, "Resources"), ("running", 1.0, "")]
        states += [] if self.is_live else [("ended", self.span, "COMPLETED")]
        for block in range(-(-self.nodes // 4)):
            for state, after, reason in states:
                yield (
                    "block",
                    {
                        "run_id": run,
                        "executor_label": "cluster",
                        "block_id": str(block),
                        "timestamp": _moment(self.start + after),
                        "status": state,
                        "job_id": str(4_711 + block),
                        "reason": reason,
                        "provider": "slurm",
                        "usd": 0.25 * block if state != "pending" else None,
                    },
                )


def _moment(seconds: float) -> str:
    """Return a time as SQLAlchemy writes it to SQLite."""
    found = dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
    return found.strftime("%Y-%m-%d %H:%M:%S.%f")


def _insert(connection: sqlite3.Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    for table, each in rows.items():
        names = list(each[0])
        columns = ", ".join(f'"{name}"' for name in names)
        statement = f'INSERT INTO "{table}" ({columns}) VALUES ({", ".join("?" * len(names))})'  # noqa: S608 - own names
        connection.executemany(statement, _tuples(each, names))
    rows.clear()


def _tuples(rows: Iterable[dict[str, Any]], names: list[str]) -> Iterator[tuple[Any, ...]]:
    return (tuple(row[name] for name in names) for row in rows)


def main() -> None:
    """Write the database that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("file", type=Path)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--run", default="run-1")
    parser.add_argument("--live", action="store_true", help="leave its last tasks unfinished")
    given = parser.parse_args()
    begun = time.monotonic()
    make_database(given.file, tasks=given.tasks, run=given.run, is_live=given.live)
    print(f"{given.file}: {given.tasks} tasks in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()

"""Runs without a driver: events into a sink, and what the database has of them."""

import sqlite3
import time

from cnflow.config import MonitoringHub
from cnflow.model import events as ev
from cnflow.monitoring.sinks.database import DatabaseSink


class Run:
    """Args: folder of the run, options of MonitoringHub, and number of tasks of drivers before this one."""

    def __init__(self, folder, tasks=0, **options):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=tasks > 0)
        self.sink = DatabaseSink(MonitoringHub(writer_timeout=60, **options), folder)
        self.began = time.time()
        self.tasks = tasks
        self.sink.write([ev.RunEvent(time=self.began, run=f"run-{folder.name}", state="running", name="scene")])

    def some_tasks(self, count=100):
        numbers = range(self.tasks, self.tasks + count)
        self.tasks += count
        events = []
        for n in numbers:
            events.append(ev.SubmittedEvent(time=time.time(), task=n, app="f", executor="e"))
            events.append(ev.TaskEvent(time=time.time(), task=n, state="launched", app="f", executor="e"))
        now = time.time()
        rows = [(n, 0, now, now - 0.2, now - 0.1, 0) for n in numbers]
        events.append(ev.DoneTasks(time=now, app="f", executor="e", manager="m", host="h", rows=rows))
        self.sink.write(events)

    def end(self):
        self.sink.write([ev.RunEvent(time=time.time(), run=f"run-{self.folder.name}", state="ended", tasks=self.tasks)])
        self.sink.close()

    def is_complete(self, query):
        """Compare what *query* (SQL -> rows) has with what was sent."""
        run = f"run-{self.folder.name}"
        [(state, tasks, done)] = query(
            f"SELECT state, tasks_count, tasks_completed_count FROM workflow WHERE run_id = '{run}'"
        )
        [(rows,)] = query(f"SELECT count(*) FROM task WHERE run_id = '{run}' AND task_state = 'done'")
        [(statuses,)] = query(f"SELECT count(*) FROM status WHERE run_id = '{run}'")
        [(progress,)] = query(f"SELECT sum(done) FROM progress WHERE run_id = '{run}'")
        assert (state, tasks, done, rows, statuses, progress) == (
            "ended",
            self.tasks,
            self.tasks,
            self.tasks,
            5 * self.tasks,
            self.tasks,
        )
        return True


def query_of(path):
    def query(sql):
        connection = sqlite3.connect(path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return query


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

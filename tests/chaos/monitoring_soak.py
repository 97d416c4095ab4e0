"""Runs that are recorded while the writer, the driver and the database are killed, locked, or without a disk.

::

    python -m tests.chaos.monitoring_soak [ROUNDS] [SEED]

Each round is a run in SQLite, one in PostgreSQL where it is installed, and a driver that is killed. The rows of each
are compared with what was sent. As root, the run's folder is a disk of a few megabytes, which is filled.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from cnflow.monitoring.store.database import parse_url
from tests.integration.monitoring_scene import Run, query_of, wait_for
from tests.services.postgres_server import PostgresServer, binaries

BATCHES = 20

DRIVER = """
import os, sys
from pathlib import Path
from tests.integration.monitoring_scene import Run
run = Run(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    run.some_tasks()
print(run.tasks, flush=True)
os.kill(os.getpid(), 9)
"""


@contextmanager
def small_disk():
    """A folder on a disk of its own, of 16 MB; a plain folder where that cannot be made."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
        is_disk = os.getuid() == 0 and subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode == 0
        try:
            yield Path(folder), is_disk
        finally:
            if is_disk:
                subprocess.run(["umount", "-l", folder], check=False)


def kill_writer(run, _chance):
    if run.sink.writer.is_alive():
        os.kill(run.sink.writer.pid, signal.SIGKILL)


def lock(run, chance):
    path = run.folder.parent / "monitoring.db"
    if not path.exists():
        return
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        connection.execute(chance.choice(["BEGIN EXCLUSIVE", "BEGIN"]))
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        run.some_tasks()
        time.sleep(chance.uniform(0.1, 2.0))
    except sqlite3.OperationalError:
        pass  # the disk is full, or the writer was faster
    finally:
        connection.close()


def fill_disk(run, chance):
    ballast = run.folder.parent / "ballast"
    try:
        with ballast.open("wb") as file:
            file.write(bytes(shutil.disk_usage(run.folder).free))
    except OSError:
        pass
    for _ in range(5):
        run.some_tasks()
    time.sleep(chance.uniform(0.1, 2.0))
    ballast.unlink()


def recorded(folder, faults, chance, query, **options):
    """Run, with a fault now and then; return the number of tasks."""
    run = Run(folder, **options)
    for _ in range(BATCHES):
        run.some_tasks()
        if chance.random() < 0.3:
            chance.choice(faults)(run, chance)
    run.end()
    wait_for(lambda: not (folder / "monitoring.journal").exists(), 300)
    run.is_complete(query)
    return run.tasks


def crashed(folder, chance):
    """Kill a driver; return the number of its tasks."""
    command = [sys.executable, "-c", DRIVER, str(folder), str(chance.randint(1, 50))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    wait_for(lambda: not (folder / "monitoring.journal").exists(), 300)
    query = query_of(folder.parent / "monitoring.db")
    [(state, tasks)] = query(f"SELECT state, tasks_completed_count FROM workflow WHERE run_id = 'run-{folder.name}'")
    assert (state, tasks) == ("crashed", int(done.stdout)), (state, tasks, done)
    return tasks


def postgres(undo):
    """A server; None where it is not installed."""
    if binaries() is None:
        return None
    server = PostgresServer(Path(undo.enter_context(tempfile.TemporaryDirectory())))
    server.start()
    undo.callback(server.stop)
    return server


def main(rounds=3, seed=None):
    seed = random.randrange(10**6) if seed is None else seed
    chance = random.Random(seed)
    with ExitStack() as undo:
        folder, is_disk = undo.enter_context(small_disk())
        server = postgres(undo)
        print(
            f"seed {seed}, {'a small disk' if is_disk else 'no small disk'}, PostgreSQL: {server is not None}",
            flush=True,
        )
        for n in range(rounds):
            faults = [kill_writer, lock, *([fill_disk] if is_disk else [])]
            place = folder / str(n)
            tasks = [recorded(place / "000", faults, chance, query_of(place / "monitoring.db"))]
            tasks.append(crashed(place / "001", chance))
            if server is not None:
                tasks.append(in_postgres(server, place / f"pg{n}", chance))
            shutil.rmtree(place)
            print(f"round {n}: every row of {tasks} tasks", flush=True)


def in_postgres(server, folder, chance):
    engine = create_engine(parse_url(server.url))

    def query(sql):
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def restart(run, _):
        server.kill()
        run.some_tasks()
        server.start()

    try:
        return recorded(folder, [kill_writer, restart], chance, query, logging_endpoint=server.url)
    finally:
        engine.dispose()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

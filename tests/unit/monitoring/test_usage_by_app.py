"""Asked and used resources by app, from the tables."""

import datetime as dt
import json

import pytest

from cnflow.monitoring.queries.usage_by_app import usage

sqlalchemy = pytest.importorskip("sqlalchemy")
GIB = 2**30
TIME = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - as the tables have it


@pytest.fixture
def connection():
    from cnflow.monitoring.store import schema

    engine = sqlalchemy.create_engine("sqlite://")
    schema.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def add_task(connection, number, *, app, asked, gpu=None, signal=None):
    from cnflow.monitoring.store import schema

    key = {"run_id": "r", "task_id": number}
    task = {"task_func_name": app, "task_memoize": "0", "task_state": "done", "task_resources": json.dumps(asked)}
    connection.execute(schema.task.insert().values(**key, **task, task_run_seconds=10.0))
    used = {"cpu_seconds": 20.0, "peak_rss_bytes": (number + 1) * GIB, "gpu_peak_bytes": gpu, "signal": signal}
    row = {**key, "try_id": 0, "task_executor": "htex", "task_try_time_returned": TIME, **used}
    connection.execute(schema.attempt.insert().values(**row))
    if gpu is not None:
        sample = {**key, "try_id": 0, "timestamp": TIME, "gpu_percent": 10.0 * number, "is_final": False}
        connection.execute(schema.resource.insert().values(**sample))


def test_used_and_asked_are_compared_by_app(connection):
    for number in range(4):
        add_task(connection, number, app="train", asked={"cores": 8, "memory": 64 * GIB, "gpus": 1}, gpu=GIB)
    add_task(connection, 9, app="load", asked={}, signal="OOM")
    load, train = usage(connection, "r")
    assert (train.app, train.tasks, train.asked_cores, train.used_cores) == ("train", 4, 8.0, 2.0)
    assert (train.asked_memory_bytes, train.peak_memory_bytes, train.median_peak_bytes) == (
        64 * GIB,
        4 * GIB,
        2.5 * GIB,
    )
    assert (train.gpus, train.gpu_percent) == (1.0, 15.0)
    assert "cores=2 are enough" in train.advice
    assert "memory='4.8 GiB'" in train.advice
    assert (load.tasks, load.gpu_percent, load.asked_memory_bytes) == (1, None, None)
    assert "1 try was ended because memory ran out" in load.advice


def test_run_without_tasks_has_no_usage(connection):
    assert usage(connection, "r") == []

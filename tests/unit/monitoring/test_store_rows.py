import sqlite3

import pytest

from cnflow.model import events as ev
from cnflow.monitoring.store import database
from cnflow.monitoring.store.failures import first_line
from cnflow.monitoring.store.memory import Memory, decode, encode
from cnflow.monitoring.store.rows import RowMaker

T = 1_800_000_000.0
SUBMITTED = ev.SubmittedEvent(time=T, task=7, app="f", executor="htex", depends=(1, 2), cores=2.0)


def task(state, time=T + 1, attempt=0, **fields):
    return ev.TaskEvent(time=time, task=7, state=state, app="f", executor="htex", attempt=attempt, **fields)


def rows_of(*events, memory=None):
    maker = RowMaker(Memory() if memory is None else memory)
    maker.take(100, list(events))
    return maker.finish()


def statuses(changes):
    return [(attempt, name) for _, attempt, _, name in sorted(changes.rows["status"], key=lambda key: key[2])]


def test_states_of_a_task_are_rows_under_the_names_of_parsl():
    ended = task("done", T + 9, started=T + 2, ended=T + 4, host="n1", manager="m", worker=3)
    changes = rows_of(SUBMITTED, task("launched"), ended)
    assert statuses(changes) == [
        (0, "pending"),
        (0, "launched"),
        (0, "running"),
        (0, "running_ended"),
        (0, "exec_done"),
    ]
    row = changes.rows["task"][7,]
    assert (row["task_state"], row["task_run_seconds"], row["task_hostname"]) == ("done", 2.0, "n1")
    assert row["task_depends"] == "1,2"
    assert set(changes.rows["dependency"]) == {(1, 7), (2, 7)}
    assert changes.rows["try"][7, 0]["worker"] == 3


def test_result_from_the_cache_has_an_ended_try_and_no_place():
    place = {"manager": "m of another run", "host": "n9", "started": T - 90, "ended": T - 80}
    changes = rows_of(SUBMITTED, task("launched"), task("done", is_memoized=True, **place))
    assert statuses(changes) == [(0, "pending"), (0, "launched"), (0, "memo_done")]
    attempt = changes.rows["try"][7, 0]
    assert (attempt["state"], attempt["task_try_time_returned"]) == ("done", T + 1)
    assert "hostname" not in attempt
    assert not changes.rows["node"]
    assert not {"task_hostname", "task_run_seconds"} & set(changes.rows["task"][7,])


def test_failed_try_has_its_worker_and_its_cost():
    failure = ev.FailureEvent(
        time=T + 5, task=7, attempt=0, error_type="E", message="m", is_retried=True, worker=3, host="n1", cost=0.5
    )
    changes = rows_of(SUBMITTED, task("launched"), failure)
    assert changes.rows["try"][7, 0]["worker"] == 3
    assert changes.rows["task"][7,]["task_fail_cost"] == 0.5


def test_running_is_one_status_also_where_worker_and_end_report_it():
    worker = ev.WorkerEvent(
        time=T + 2, executor="htex", block="0", manager="m", host="n1", worker=0, state="running", task=7, attempt=55
    )
    ended = task("done", T + 9, started=T + 2.1, ended=T + 4)
    changes = rows_of(SUBMITTED, task("launched"), worker, ended)
    assert [name for _, name in statuses(changes)].count("running") == 1


def test_running_is_one_status_of_a_try_that_fails():
    worker = ev.WorkerEvent(
        time=T + 2, executor="htex", block="0", manager="m", host="n1", worker=0, state="running", task=7
    )
    times = {"started": T + 2.1, "ended": T + 4}
    failure = ev.FailureEvent(time=T + 5, task=7, attempt=0, error_type="E", message="m", **times)
    memory = Memory()
    changes = rows_of(SUBMITTED, task("launched"), worker, failure, task("failed", T + 5, **times), memory=memory)
    assert [name for _, name in statuses(changes)] == ["pending", "launched", "running", "running_ended", "failed"]
    assert memory == Memory()


def test_late_report_of_a_worker_does_not_take_an_end_back():
    worker = ev.WorkerEvent(
        time=T + 2, executor="htex", block="0", manager="m", host="n1", worker=0, state="running", task=7
    )
    changes = rows_of(SUBMITTED, task("launched"), task("done"), worker)
    assert changes.rows["task"][7,]["task_state"] == "done"


@pytest.mark.parametrize("is_cut", [False, True], ids=["one-transaction", "two"])
def test_late_report_does_not_take_the_end_of_a_try_back(is_cut, tmp_path):
    worker = ev.WorkerEvent(
        time=T + 2, executor="htex", block="0", manager="m", host="n1", worker=0, state="running", task=7
    )
    events = [SUBMITTED, task("launched"), task("cancelled", T + 3)]
    late = [worker, task("staging_in", T + 4), task("launched", T + 4)]
    parts = [events, late] if is_cut else [[*events, *late]]
    assert written(tmp_path, *parts, column="state") == "cancelled"


def test_peak_of_a_try_stays_where_it_is_launched_again(tmp_path):
    place = {"executor": "htex", "block": "0", "manager": "m", "worker": 0, "task": 7}
    high, low = (ev.ResourceSample(time=T + 2, peak_bytes=peak, **place) for peak in (100, 50))
    parts = [SUBMITTED, task("launched")], [high], [task("launched", T + 3), low]
    assert written(tmp_path, *parts, column="peak_rss_bytes") == 100


def written(folder, *parts, column):
    """Return *column* of the only try after a transaction for each of *parts*."""
    url = f"sqlite:///{folder}/m.db"
    database.prepare(url)
    store = database.Store(url, "run")
    memory = Memory()
    for position, events in enumerate(parts):
        store.write(rows_of(*events, memory=memory), position, memory)
    store.close()
    connection = sqlite3.connect(folder / "m.db")
    [(value,)] = connection.execute(f'SELECT {column} FROM "try"').fetchall()
    connection.close()
    return value


def test_try_that_runs_is_the_last_one_whatever_the_clock_of_its_node():
    failure = ev.FailureEvent(time=T + 5, task=7, attempt=0, error_type="E", message="m", is_retried=True)
    worker = ev.WorkerEvent(
        time=T - 60, executor="htex", block="0", manager="m", host="n1", worker=0, state="running", task=7
    )
    changes = rows_of(SUBMITTED, task("launched"), failure, task("launched", T + 5, attempt=1), worker)
    assert (1, "running") in statuses(changes)
    assert changes.rows["try"][7, 0]["state"] == "failed"
    assert changes.rows["try"][7, 1]["state"] == "running"


def test_sample_belongs_to_the_try_that_ran_then():
    failure = ev.FailureEvent(time=T + 5, task=7, attempt=0, error_type="E", message="m", is_retried=True)
    memory = Memory()
    rows_of(SUBMITTED, task("launched"), failure, task("launched", T + 5, attempt=1), memory=memory)
    sample = ev.ResourceSample(
        time=T + 4, executor="htex", block="0", manager="m", worker=0, task=7, user_seconds=1.0, system_seconds=0.5
    )
    later = ev.ResourceSample(
        time=T + 30, executor="htex", block="0", manager="m", worker=0, task=7, user_seconds=2.0, system_seconds=0.5
    )
    changes = rows_of(sample, later, memory=decode(encode(memory)))
    assert changes.updates["try"][7, 0]["cpu_seconds"] == 1.5
    assert changes.updates["try"][7, 1]["cpu_seconds"] == 2.5


def test_line_of_an_error_does_not_announce_what_is_left_out():
    text = "BashExitFailure: bash_app f exited with code 3. Its command was:\n    false"
    assert first_line(text) == "BashExitFailure: bash_app f exited with code 3."
    assert first_line("KeyError: no such key.\nKnown: a") == "KeyError: no such key."
    assert first_line("ValueError: in 1.5: here:") == "ValueError: in 1.5: here:"


def test_failures_that_differ_in_numbers_alone_are_one_group():
    events = []
    for n in range(3):
        events += [
            ev.FailureEvent(
                time=T, task=n, attempt=0, error_type="ValueError", message=f"no row {n} in /data/x/{n}.csv"
            ),
            ev.TaskEvent(time=T, task=n, state="failed", app="f", executor="e"),
        ]
    changes = rows_of(*events)
    [group] = changes.rows["error_group"].values()
    assert (group["count"], group["first_task"], group["error_type"]) == (3, 0, "ValueError")


def test_packed_events_are_the_same_rows():
    submitted = ev.SubmittedTasks(time=T, app="f", executor="e", rows=[(1, T, "()"), (2, T, "()")])
    done = ev.DoneTasks(time=T, app="f", executor="e", manager="m", host="n", rows=[(1, 0, T + 3, T + 1, T + 2, 5)])
    packed = rows_of(submitted, done)
    single = rows_of(
        *(ev.SubmittedEvent(time=T, task=n, app="f", executor="e", arguments="()") for n in (1, 2)),
        *(ev.TaskEvent(time=T + 2e-6, task=n, state="launched", app="f", executor="e") for n in (1, 2)),
        ev.TaskEvent(
            time=T + 3,
            task=1,
            state="done",
            app="f",
            executor="e",
            manager="m",
            host="n",
            worker=5,
            started=T + 1,
            ended=T + 2,
        ),
    )
    for table in ("task", "status", "progress", "node"):
        assert packed.rows[table] == single.rows[table], table
    assert {**packed.rows["try"][1, 0], "block_id": None} == {**single.rows["try"][1, 0], "block_id": None}


def test_state_with_the_latest_time_is_one(tmp_path):
    url = f"sqlite:///{tmp_path}/m.db"
    database.prepare(url)
    store = database.Store(url, "run")
    times = [T + n * 3.3e-7 for n in range(20)]
    store.write(
        rows_of(ev.SubmittedTasks(time=T, app="f", executor="e", rows=[(n, time, "") for n, time in enumerate(times)])),
        1,
        Memory(),
    )
    store.close()
    connection = sqlite3.connect(tmp_path / "m.db")
    last = connection.execute(  # as Parsl's visualization asks
        "SELECT task_status_name, count(*) FROM task JOIN status ON task.task_id = status.task_id AND timestamp = "
        "(SELECT max(timestamp) FROM status WHERE status.task_id = task.task_id) GROUP BY task_status_name"
    ).fetchall()
    connection.close()
    assert last == [("launched", 20)]


@pytest.mark.parametrize(("state", "status"), [("ended", "SCALED_IN"), ("pending", "PENDING"), ("missing", "MISSING")])
def test_states_of_blocks_have_the_names_of_parsl(state, status):
    changes = rows_of(ev.BlockEvent(time=T, executor="htex", block="0", state=state))
    assert list(changes.rows["block"]) == [("htex", "0", T, status)]


def test_run_is_not_updated_by_events_that_cannot_be_read():
    assert rows_of(SUBMITTED).rows["workflow"][()]["time_updated"] == T
    assert "workflow" not in rows_of().rows


def test_dropped_samples_are_counted():
    changes = rows_of(ev.DroppedEvents(time=T, count=5, source="m"), ev.DroppedEvents(time=T, count=2, source="m"))
    assert changes.rows["workflow"][()]["samples_dropped_count"] == 7


def test_samples_that_cannot_be_read_are_counted():
    place = {"executor": "htex", "block": "0", "manager": "m", "host": "n1"}
    changes = rows_of(ev.SampleBatch(time=T, count=3, packed=b"of another version", **place))
    assert changes.rows["workflow"][()]["samples_dropped_count"] == 3
    assert not changes.rows["resource"]


def test_peak_of_a_try_is_its_highest():
    def sample(seconds, gpu):
        return ev.ResourceSample(
            time=T + seconds, executor="e", block="0", manager="m", worker=0, task=7, gpu_bytes=gpu, peak_bytes=10 * gpu
        )

    changes = rows_of(sample(1, 5), sample(2, 9), sample(3, 2))
    assert changes.updates["try"][7, 0] == {"gpu_peak_bytes": 9, "peak_rss_bytes": 90}


def test_manager_that_comes_back_at_once_is_up():
    place = {"executor": "htex", "block": "0", "manager": "m", "host": "n1"}
    up, down = (ev.ManagerEvent(time=T + 1, state=state, **place) for state in ("up", "down"))
    changes = rows_of(down, up)
    assert changes.rows["node"]["m",]["active"]
    assert not changes.updates["node"]
    changes = rows_of(down, up, down)
    assert not changes.rows["node"]["m",]["active"]


def test_tries_of_tasks_that_have_ended_are_forgotten_in_a_while(monkeypatch):
    monkeypatch.setattr("cnflow.monitoring.store.memory.ENDED", 10)
    memory = Memory()
    for n in range(1000):
        launched = ev.TaskEvent(time=T, task=n, state="launched", app="f", executor="htex", attempt=1)
        done = ev.DoneTasks(time=T, app="f", executor="htex", rows=[(n, 1, T, T - 1, T, 0)])
        last = done if n % 2 else ev.TaskEvent(time=T, task=n, state="failed", app="f", executor="htex", attempt=1)
        rows_of(launched, last, memory=memory)
        assert memory.last_try(n) == 1
        assert len(memory.tries) == len(memory.ended) <= 20
    assert decode(encode(memory)) == memory

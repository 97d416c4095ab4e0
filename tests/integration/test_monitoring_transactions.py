"""Tables are the same however the journal is cut into transactions, and new writers go on: random walks."""

import random

import pytest
from sqlalchemy import select

from cnflow.model import events as ev
from cnflow.model.samples import TaskSample, pack
from cnflow.monitoring.store import database, schema
from cnflow.monitoring.store.memory import Memory, decode, encode
from cnflow.monitoring.store.rows import RowMaker

T = 1_800_000_000.0
_NOT_COMPARED = {"time_updated", "busy_seconds", "run_seconds"}
"""The time of the last transaction, and sums whose last digits depend on the order."""

PLACE = {"executor": "e", "block": "0", "host": "n1"}


def life_of(task, chance):
    """Return the events of one task, in their order."""
    clock = T + chance.random() * 5
    manager = f"m{chance.randrange(2)}"

    def later(most=2.0):
        nonlocal clock
        clock += chance.random() * most + 0.001
        return clock

    if chance.random() < 0.4:
        events = [ev.SubmittedTasks(time=clock, app="f", executor="e", rows=[(task, clock, "()")])]
    else:
        depends = tuple(range(max(0, task - 2), task))
        events = [ev.SubmittedEvent(time=clock, task=task, app="f", executor="e", depends=depends)]
        if chance.random() < 0.2:
            reason = "DependencyError: no"
            state = chance.choice(["cancelled", "dependency_failed"])
            return [*events, ev.TaskEvent(time=later(), task=task, state=state, app="f", executor="e", reason=reason)]
        events.append(ev.TaskEvent(time=later(), task=task, state="launched", app="f", executor="e"))
    for attempt in range(5):
        begun = later()
        if chance.random() < 0.5:
            note = ev.WorkerEvent(time=begun, manager=manager, worker=1, state="running", task=task, attempt=9, **PLACE)
            events.append(note)
        if chance.random() < 0.5:
            file = {"task": task, "attempt": attempt, "direction": "in", "url": "http://x/y"}
            events.append(ev.FileEvent(time=later(), state="moving", **file))
            events.append(ev.FileEvent(time=later(), state="moved", size=9, seconds=0.5, **file))
        for is_final in (False, True):
            peak = chance.randrange(1000)
            packed = pack([TaskSample(later(), 1, task, 9, is_final=is_final, user_seconds=clock - T, peak_bytes=peak)])
            events.append(ev.SampleBatch(time=clock, manager=manager, count=1, packed=packed, **PLACE))
        ended = later()
        times = {"started": begun, "ended": ended, "manager": manager, "host": "n1", "block": "0"}
        if chance.random() < 0.4:
            is_retried = attempt < 3
            words = {"error_type": "ValueError", "message": f"no {task}"}
            failure = ev.FailureEvent(time=later(), task=task, attempt=attempt, is_retried=is_retried, **words, **times)
            events.append(failure)
            if is_retried:
                events.append(
                    ev.TaskEvent(time=later(), task=task, state="launched", app="f", executor="e", attempt=attempt + 1)
                )
                continue
            last = {"state": "failed", "reason": f"ValueError: no {task}"}
            events.append(
                ev.TaskEvent(time=later(), task=task, app="f", executor="e", attempt=attempt, **last, **times)
            )
        else:
            row = (task, attempt, later(), begun, ended, 1)
            events.append(ev.DoneTasks(time=clock, app="f", manager=manager, rows=[row], **PLACE))
        return events
    return events


def walk(chance):
    """Return the events of a run: lives of tasks and managers, shuffled among each other."""
    managers = [
        ev.ManagerEvent(time=T + n, manager=f"m{n % 2}", state="up" if n // 2 % 2 == 0 else "down", image="i", **PLACE)
        for n in range(6)
    ]
    lives = [managers[0::2], managers[1::2], *(life_of(task, chance) for task in range(30))]
    order = [n for n, life in enumerate(lives) for _ in life]
    chance.shuffle(order)
    ways = [iter(life) for life in lives]
    begun = ev.RunEvent(time=T, run="run", state="running", name="walk")
    return [begun, *(next(ways[n]) for n in order), ev.RunEvent(time=T + 100, run="run", state="ended")]


def written(url, events, cuts):
    """Write *events* in transactions that end at *cuts*; return the content of all tables."""
    database.prepare(url)
    store = database.Store(url, "run")
    memory = Memory()
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        maker = RowMaker(memory)
        maker.take(begin, events[begin:end])
        store.write(maker.finish(), end, memory)
        position, memory = store.position()
        assert position == end
        assert memory == decode(encode(memory))
    store.close()
    engine = database.open_engine(url)
    tables = {}
    with engine.connect() as connection:
        for table in schema.metadata.sorted_tables:
            if table.name not in {"journal_position", "alembic_version"}:
                columns = [column for column in table.columns if column.name not in _NOT_COMPARED]
                tables[table.name] = sorted(map(tuple, connection.execute(select(*columns))), key=repr)
    engine.dispose()
    return tables


@pytest.mark.parametrize("seed", range(8))
def test_tables_do_not_depend_on_transactions(tmp_path, seed):
    chance = random.Random(seed)
    events = walk(chance)
    whole = written(f"sqlite:///{tmp_path}/whole.db", events, [])
    cuts = sorted(chance.sample(range(1, len(events)), 12))
    cut = written(f"sqlite:///{tmp_path}/cut.db", events, cuts)
    for name, rows in whole.items():
        assert cut[name] == rows, name
    names = [column.name for column in schema.workflow.columns if column.name != "time_updated"]
    [counts] = [dict(zip(names, row, strict=True)) for row in whole["workflow"]]
    ends = [counts[f"tasks_{name}_count"] for name in ("completed", "failed", "cancelled")]
    assert (counts["state"], counts["tasks_count"], sum(ends)) == ("ended", 30, 30)

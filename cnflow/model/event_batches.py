"""Packs rows of tasks into batch events, and makes single events of batches. No I/O.

::

    task graph ──rows: plain tuples──┐                                        ┌──> sink that takes batches
    anyone ──events──────────────────┴──pack──> SubmittedTasks, ..., DoneTasks┴singles──> any other sink

Of each task the order holds: what is submitted comes first and what is done last in what `pack` returns, and between
them everything else as it came. The run's own events stay the very first and the very last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from cnflow.model.events import (
    AnyEvent,
    DoneTasks,
    RunEvent,
    SampleBatch,
    SubmittedEvent,
    SubmittedTasks,
    TaskEvent,
    TaskRow,
)
from cnflow.model.samples import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUBMITTED = 6
"""Length of a row of a submitted task; that of a task which is done is longer."""


def pack(queued: Iterable[Union[AnyEvent, TaskRow]]) -> list[AnyEvent]:
    """Return the events among *queued*, with the rows packed into batches."""
    submitted: dict[tuple[str, str, str], SubmittedTasks] = {}
    done: dict[tuple[str, str, Any], DoneTasks] = {}
    first: list[AnyEvent] = []
    others: list[AnyEvent] = []
    last: list[AnyEvent] = []
    for each in queued:
        if type(each) is not tuple:
            if type(each) is RunEvent:
                (first if each.state == "running" else last).append(each)
            else:
                others.append(each)  # type: ignore[arg-type]  # rows are tuples
        elif len(each) == _SUBMITTED:
            at, task, app, executor, image, arguments = each  # type: ignore[misc]  # the shorter row
            batch = submitted.get((app, executor, image))
            if batch is None:
                batch = submitted[app, executor, image] = SubmittedTasks(
                    time=at, app=app, executor=executor, image=image, rows=[]
                )
            batch.rows.append((task, at, arguments))
        else:
            at, task, app, executor, attempt, place, ended, seconds, worker = each  # type: ignore[misc]  # the longer one
            found = done.get((app, executor, place))
            if found is None:
                found = done[app, executor, place] = DoneTasks(time=at, app=app, executor=executor, rows=[])
                if place is not None:
                    found.block, found.manager, found.host = place.block, place.manager, place.host
            started = ended - seconds if ended else 0.0
            found.rows.append((task, attempt, at, started, ended, worker))
    return [*first, *submitted.values(), *others, *done.values(), *last]


def singles(event: AnyEvent) -> list[AnyEvent]:
    """Return the events of single tasks, or the samples, for which a batch stands; *event* itself if it is none."""
    if isinstance(event, SubmittedTasks):
        return [each for row in event.rows for each in _submitted(event, row)]
    if isinstance(event, DoneTasks):
        return [_done(event, row) for row in event.rows]
    if isinstance(event, SampleBatch):
        return [*unpack(event)]
    return [event]


def _submitted(batch: SubmittedTasks, row: tuple[int, float, str]) -> tuple[SubmittedEvent, TaskEvent]:
    task, at, arguments = row
    app, executor = batch.app, batch.executor
    made = SubmittedEvent(time=at, task=task, app=app, executor=executor, image=batch.image, arguments=arguments)
    return made, TaskEvent(time=at, task=task, state="launched", app=app, executor=executor)


def _done(batch: DoneTasks, row: tuple[int, int, float, float, float, int]) -> TaskEvent:
    task, attempt, at, started, ended, worker = row
    return TaskEvent(
        time=at,
        task=task,
        state="done",
        app=batch.app,
        executor=batch.executor,
        attempt=attempt,
        block=batch.block,
        manager=batch.manager,
        host=batch.host,
        worker=worker,
        started=started,
        ended=ended,
    )

"""Batches of events: few values for many tasks, from which the single events come back."""

from cnflow.model.event_batches import pack, singles
from cnflow.model.events import DoneTasks, FailureEvent, RunEvent, SubmittedEvent, SubmittedTasks, TaskEvent
from cnflow.model.provenance import Place

PLACE = Place("r", "htex", host="n1", block="0", manager="ab")


def row(task, arguments=""):
    return (1.0, task, "f", "htex", "", arguments)


def done(task, place=PLACE, ended=3.0):
    return (4.0, task, "f", "htex", 0, place, ended, 1.0, 2)


def failure(task):
    return FailureEvent(time=2.0, task=task, attempt=0, error_type="E", message="m")


def test_rows_of_an_app_are_one_event_and_order_of_each_task_holds():
    packed = pack([row(1), done(1), row(2, "3"), failure(2), row(3), done(2)])
    assert [type(each) for each in packed] == [SubmittedTasks, FailureEvent, DoneTasks]
    assert packed[0].rows == [(1, 1.0, ""), (2, 1.0, "3"), (3, 1.0, "")]
    assert packed[2].rows == [(1, 0, 4.0, 2.0, 3.0, 2), (2, 0, 4.0, 2.0, 3.0, 2)]
    assert (packed[2].block, packed[2].manager, packed[2].host) == ("0", "ab", "n1")


def test_tasks_of_two_places_are_two_events():
    other = PLACE._replace(manager="cd")
    assert [each.manager for each in pack([done(1), done(2, other), done(3), done(4, None)])] == ["ab", "cd", ""]


def test_events_of_the_run_are_first_and_last():
    begun, ended = (RunEvent(time=1.0, run="r", state=state) for state in ("running", "ended"))
    packed = pack([failure(0), begun, row(1), done(1), ended])
    assert (packed[0], packed[-1]) == (begun, ended)


def test_single_events_come_back_from_batches():
    submitted, finished = pack([row(1, "3"), done(1)])
    assert singles(submitted) == [
        SubmittedEvent(time=1.0, task=1, app="f", executor="htex", arguments="3"),
        TaskEvent(time=1.0, task=1, state="launched", app="f", executor="htex"),
    ]
    (event,) = singles(finished)
    assert (event.state, event.started, event.ended, event.worker, event.host) == ("done", 2.0, 3.0, 2, "n1")
    assert singles(event) == [event]


def test_time_that_is_not_known_stays_unknown():
    (event,) = singles(pack([done(1, None, 0.0)])[0])
    assert (event.started, event.ended) == (0.0, 0.0)

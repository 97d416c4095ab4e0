"""Calls beside the graph: outcomes, pieces of streams and news of models, as an executor passes them on."""

import asyncio
import itertools
import pickle
import threading
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

from cnflow.errors import ManagerLost, SerializationError
from cnflow.executors.high_throughput.direct_calls import DirectCalls
from cnflow.executors.high_throughput.held_tasks import HeldTask, of_present_attempts
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.ids import FIRST_CALL, ManagerId, TaskId
from cnflow.model.batching import BatchLimits, BatchPart
from cnflow.model.task import AppFunction, Outcome, TaskToRun
from cnflow.wire import serialization
from cnflow.wire.function_messages import Prepare, Prepared
from cnflow.wire.messages import Result
from cnflow.wire.pipe import ResultKind as Kind
from cnflow.wire.serialization import MINOR

MANAGERS = {1: b"first", 2: b"second"}


class Executor:
    """Owner of the calls, as far as they see it."""

    def __init__(self):
        places = {number: SimpleNamespace(manager=manager.hex()) for number, manager in MANAGERS.items()}
        self.orders = []
        self.serializer = TaskSerializer()
        self.pushed = []
        client = SimpleNamespace(order=self.orders.append, push=lambda at_once: self.pushed.append(len(self.tasks)))
        self.direct = DirectCalls(self, self.serializer, SimpleNamespace(places=places), client)
        self.graph = []
        self.report = self.direct.reporting(self.graph.extend)
        self.tasks, self.cancelled, self.held = [], [], {}
        self.attempts = itertools.count()

    def submit(self, tasks, *, waits=False):
        if tasks[0].args == ("bad",):
            raise TypeError("bad")
        self.tasks += tasks
        if not waits:
            self.pushed.append(len(self.tasks))
        for task in tasks:
            self.held[task.id] = HeldTask(None, next(self.attempts), task)

    def cancel(self, tasks):
        self.cancelled += tasks

    def report_held(self, outcomes):
        ours = [outcome for outcome in outcomes if self.held.pop(outcome.id, None) is not None]
        if ours:
            self.report(ours)

    def title(self, task):
        return f"call {task}"

    def hear(self, *results):
        """Results of one message."""
        parcels = [(result, ()) for result in results]
        _, ends = self.direct.without_pieces(parcels, of_present_attempts(parcels, self.held))
        self.report_held([Outcome(result.id, pickle.loads(result.body)) for result, _ in ends])


def piece(call, number, value, manager=1, attempt=0, kind=Kind.PARTIAL):
    return Result(call, kind, pickle.dumps(value), float(number), attempt=attempt, manager=manager)


def end(call, value, manager=1, attempt=0):
    return piece(call, 0, value, manager, attempt, Kind.VALUE)


@pytest.fixture
def executor():
    return Executor()


def stream(executor):
    """Call whose pieces and outcome are listed."""
    heard = []
    call = executor.direct.submit(APP, (1,), done=heard.append, piece=heard.append)
    return call, heard


APP = AppFunction(len)


def test_call_is_a_task_of_an_id_beyond_those_of_any_graph(executor):
    part = BatchPart(3, "a", is_bulk=True)
    call = executor.direct.submit(APP, ([1, 2, 3],), {"key": 1}, batch=part, done=print)
    (task,) = executor.tasks
    assert (task.id, task.args, task.kwargs, task.batch) == (call, ([1, 2, 3],), {"key": 1}, part)
    assert call >= FIRST_CALL
    assert call < 2**63


def test_calls_of_one_turn_of_an_event_loop_leave_together(executor):
    turn = []
    executor.direct.collect(turn.append)
    calls = [executor.direct.submit(APP, ("abc",), done=print) for _ in range(3)]
    assert (executor.tasks, len(turn)) == ([], 1)
    turn.pop()()
    assert [task.id for task in executor.tasks] == calls
    assert executor.pushed == [3]
    executor.direct.submit(APP, ("abc",), done=print)
    assert len(turn) == 1


def test_call_that_cannot_be_sent_with_others_of_its_turn_fails_alone(executor):
    turn, heard = [], []
    executor.direct.collect(turn.append)
    calls = [executor.direct.submit(APP, (word,), done=heard.append) for word in ("abc", "bad", "abc")]
    turn.pop()()
    assert [task.id for task in executor.tasks] == [calls[0], calls[2]]
    assert [(outcome.id, type(outcome.error)) for outcome in heard] == [(calls[1], TypeError)]
    assert len(executor.direct) == 2


def test_collected_call_is_handed_on_before_it_is_cancelled(executor):
    turn = []
    executor.direct.collect(turn.append)
    call = executor.direct.submit(APP, ("abc",), done=print)
    executor.direct.cancel([call])
    assert ([task.id for task in executor.tasks], executor.cancelled) == ([call], [call])
    turn.pop()()
    assert len(executor.tasks) == 1


def test_calls_of_other_threads_are_not_collected(executor):
    executor.direct.collect([].append)
    thread = threading.Thread(target=lambda: executor.direct.submit(APP, ("abc",), done=print))
    thread.start()
    thread.join()
    assert (len(executor.tasks), executor.pushed) == (1, [1])


def test_end_of_collecting_sends_what_is_collected(executor):
    executor.direct.collect([].append)
    executor.direct.submit(APP, ("abc",), done=print)
    executor.direct.collect(None)
    executor.direct.submit(APP, ("abc",), done=print)
    assert executor.pushed == [1, 2]


def test_calls_after_the_end_of_their_loop_leave_at_once(executor):
    loop = asyncio.new_event_loop()
    executor.direct.collect(loop.call_soon)
    loop.close()
    calls = [executor.direct.submit(APP, ("abc",), done=print) for _ in range(2)]
    assert [task.id for task in executor.tasks] == calls
    assert executor.pushed == [1, 2]


def test_outcomes_of_calls_reach_their_callbacks_and_those_of_tasks_the_graph(executor):
    heard = []
    call = executor.direct.submit(APP, ("abc",), done=heard.append)
    executor.report([Outcome(3, "task"), Outcome(call, 3), Outcome(4, "task")])
    assert heard == [Outcome(call, 3)]
    assert [outcome.id for outcome in executor.graph] == [3, 4]
    assert len(executor.direct) == 0


def test_outcomes_of_tasks_alone_are_reported_as_they_came(executor):
    outcomes = [Outcome(1, None)]
    reported = []
    executor.direct.reporting(reported.append)(outcomes)
    assert reported[0] is outcomes


def test_all_outcomes_of_one_report_are_delivered_at_once(executor):
    delivered = []
    executor.direct.deliver = delivered.append
    calls = [executor.direct.submit(APP, ("abc",), done=print) for _ in range(3)]
    executor.report([Outcome(call, None) for call in calls])
    assert [[each.value.id for each in due] for due in delivered] == [calls]


def test_callback_that_fails_stops_no_other(executor, caplog):
    heard = []
    calls = [executor.direct.submit(APP, ("abc",), done=done) for done in (lambda _: 1 / 0, heard.append)]
    executor.report([Outcome(call, None) for call in calls])
    assert len(heard) == 1
    assert "a callback of a call has failed" in caplog.text


def test_delivery_that_fails_does_not_end_the_thread_that_brings_results(executor, caplog):
    executor.direct.deliver = lambda _: 1 / 0
    call = executor.direct.submit(APP, ("abc",), done=print)
    executor.report([Outcome(call, None)])
    assert "could not be delivered" in caplog.text


def test_cancelled_call_is_done_once_with_its_cancellation(executor):
    heard = []
    call = executor.direct.submit(APP, ("abc",), done=heard.append)
    executor.direct.cancel([call])
    assert executor.cancelled == [call]
    executor.report_held([Outcome(call, None, CancelledError())])
    executor.report_held([Outcome(call, 3)])
    assert [type(outcome.error) for outcome in heard] == [CancelledError]


def test_pieces_come_in_order_and_before_the_outcome(executor):
    call, heard = stream(executor)
    executor.hear(piece(call, 0, "a"), piece(call, 1, "b"))
    executor.hear(piece(call, 2, "c"), end(call, None))
    assert heard == ["a", "b", "c", Outcome(call, None)]


def test_pieces_that_a_manager_sends_again_are_dropped(executor):
    call, heard = stream(executor)
    executor.hear(piece(call, 0, "a"), piece(call, 1, "b"))
    executor.hear(piece(call, 0, "a"), piece(call, 1, "b"), piece(call, 2, "c"), end(call, None))
    assert heard == ["a", "b", "c", Outcome(call, None)]


def test_stream_that_begins_anew_on_another_manager_ends_with_an_error(executor):
    call, heard = stream(executor)
    executor.hear(piece(call, 0, "a"))
    executor.hear(piece(call, 0, "a", manager=2), piece(call, 1, "b", manager=2))
    assert heard[0] == "a"
    assert isinstance(heard[1].error, ManagerLost)
    assert "began anew on another manager" in str(heard[1].error)
    assert len(heard) == 2
    assert executor.cancelled == [call]


def test_stream_goes_on_with_pieces_that_come_before_the_news_of_their_manager(executor):
    call, heard = stream(executor)
    executor.hear(piece(call, 0, "a"))
    executor.hear(piece(call, 0, "a", manager=7), piece(call, 1, "b", manager=7))
    executor.hear(piece(call, 2, "c"), end(call, None))
    assert heard == ["a", "b", "c", Outcome(call, None)]


def test_stream_of_which_no_piece_came_may_begin_anywhere(executor):
    call, heard = stream(executor)
    executor.hear(piece(call, 0, "a", manager=2), end(call, None, manager=2))
    assert heard[0] == "a"
    assert heard[1].error is None


def test_stream_that_lacks_a_piece_ends_with_an_error(executor):
    call, heard = stream(executor)
    executor.hear(piece(call, 0, "a"), piece(call, 2, "c"))
    assert heard[0] == "a"
    assert "piece 1 is missing" in str(heard[1].error)


def test_piece_that_cannot_be_loaded_ends_the_stream(executor):
    call, heard = stream(executor)
    bad = Result(call, Kind.PARTIAL, b"no pickle", 0.0, manager=1)
    executor.hear(bad, piece(call, 1, "b"))
    (outcome,) = heard
    assert isinstance(outcome.error, SerializationError)


def test_pieces_of_a_call_that_wants_none_are_dropped(executor):
    heard = []
    call = executor.direct.submit(APP, ("abc",), done=heard.append)
    executor.hear(piece(call, 0, "a"), end(call, 1))
    assert heard == [Outcome(call, 1)]


def test_pieces_of_a_task_of_the_graph_are_no_ends(executor):
    executor.held[5] = HeldTask(None, 0, None)
    executor.hear(piece(5, 0, "a"))
    assert 5 in executor.held
    assert not executor.graph


# Models


def model(name="m"):
    app = AppFunction(len, name=name)
    app.batching = BatchLimits()
    return app


def names(order):
    assert isinstance(order, Prepare)
    return [function.name for function in order.functions]


def news(app, executor, worker=0, manager=1, error=""):
    function = executor.serializer.function_of(app)
    executor.direct.on_prepared(Prepared(function.id, worker, error, b"{}", 0.5, manager))


def test_models_of_all_calls_of_prepare_are_loaded_until_they_are_forgotten(executor):
    first, second = model("first"), model("second")
    executor.direct.prepare([first], print)
    executor.direct.prepare([second], print)
    executor.direct.forget([first, model("unknown")])
    executor.direct.forget([second])
    assert [names(order) for order in executor.orders] == [["first"], ["first", "second"], ["second"], []]
    assert executor.orders[0].functions[0].batching.max_batch == 64


def test_forgetting_no_model_that_is_known_orders_nothing(executor):
    executor.direct.forget([model()])
    assert not executor.orders


def test_model_that_cannot_be_pickled_is_refused_and_the_others_are_not_prepared(executor):
    bad = AppFunction(lambda generator=(n for n in ()): generator, name="bad")
    with pytest.raises(SerializationError, match="The function bad cannot be pickled"):
        executor.direct.prepare([model(), bad], print)
    assert not executor.orders


def test_workers_that_have_loaded_a_model_are_counted_until_their_manager_is_lost(executor):
    app, heard = model(), []
    executor.direct.prepare([app], heard.append)
    for worker, manager in ((0, 1), (1, 1), (1, 1), (0, 2)):
        news(app, executor, worker, manager)
    assert executor.direct.ready_workers(app) == 3
    assert (heard[3].manager, heard[3].worker, heard[3].description) == (b"second".hex(), 0, b"{}")
    executor.direct.on_manager_lost(ManagerId(b"first"))
    assert executor.direct.ready_workers(app) == 1
    news(app, executor, 0, 2, error="ValueError: no weights")
    assert executor.direct.ready_workers(app) == 0
    assert heard[-1].error == "ValueError: no weights"


def test_models_are_sent_as_source_once_workers_run_another_python(executor):
    app = AppFunction(lambda rows: rows, name="m")
    executor.direct.prepare([app], print)
    executor.direct.on_manager_up(SimpleNamespace(python=MINOR))
    assert len(executor.orders) == 1
    executor.direct.on_manager_up(SimpleNamespace(python="3.99"))
    executor.direct.on_manager_up(SimpleNamespace(python="3.99"))
    first, second = (order.functions[0] for order in executor.orders)
    assert (first.python, second.python) == (MINOR, "")
    news(app, executor)
    assert executor.direct.ready_workers(app) == 1


def test_other_pythons_do_not_matter_while_no_model_is_prepared(executor):
    executor.direct.on_manager_up(SimpleNamespace(python="3.99"))
    assert not executor.serializer.has_other_pythons


def test_model_that_is_prepared_after_workers_of_another_python_came_is_sent_as_source(executor):
    executor.direct.on_manager_up(SimpleNamespace(python="3.99"))
    executor.direct.prepare([AppFunction(lambda rows: rows, name="m")], print)
    (order,) = executor.orders
    assert order.functions[0].python == ""


def test_results_of_calls_travel_where_those_of_tasks_stay_on_their_nodes():
    serializer = TaskSerializer(keep_from=10)
    task = TaskToRun(TaskId(1), APP, ([1],), {})
    limits = [
        serialization.load(serializer.serialize(each)[1][0].body)[2:] for each in (task, task._replace(id=FIRST_CALL))
    ]
    assert limits[0]
    assert not limits[1]


def test_calls_of_a_killed_driver_are_stopped_and_its_tasks_go_on(executor):
    executor.direct.on_held({3: HeldTask(None, 1, None)})
    executor.direct.on_held({3: HeldTask(None, 1, None), FIRST_CALL + 5: HeldTask(None, 7, None)})
    (order,) = executor.orders
    assert order.tasks == {FIRST_CALL + 5: 7}


def test_news_of_a_model_that_was_forgotten_reach_nobody(executor):
    app, heard = model(), []
    executor.direct.prepare([app], heard.append)
    executor.direct.forget([app])
    news(app, executor)
    assert not heard
    assert executor.direct.ready_workers(app) == 0

"""The kernel's shell over an executor that does what the test says."""

import sys
from concurrent.futures import CancelledError, Future, wait

import pytest

from cnflow.dataflow.call_options import AppOptions
from cnflow.errors import (
    ConfigurationError,
    DependencyError,
    ExecutorClosedError,
    JoinAppNoFuture,
    JoinError,
    ManagerLost,
    MemoKeyError,
    SerializationError,
)
from cnflow.model.task import AppFunction, AppKind, Outcome, TaskState


def app(function):
    return AppFunction(function)


def add(a, b):
    return a + b


def fail():
    raise ValueError("boom")


def test_a_result_reaches_the_task_that_waits_for_it(kernel, executor):
    dfk = kernel()
    three = dfk.submit(app(add), (1, 2), {})
    seven = dfk.submit(app(add), (three,), {"b": 4})
    executor.run()
    executor.run()
    assert seven.result(0) == 7


def test_ready_tasks_reach_the_executor_in_one_batch(kernel, executor):
    dfk = kernel()
    first = dfk.submit(app(add), (1, 2), {})
    for _ in range(5):
        dfk.submit(app(add), (first, 1), {})
    batches = []
    executor.submit = batches.append
    executor.run()
    assert [len(batch) for batch in batches] == [5]


def test_the_message_of_a_dependency_error_begins_with_the_root_cause(kernel, executor):
    dfk = kernel()
    root = dfk.submit(app(fail), (), {})
    second = dfk.submit(app(add), (root, 1), {})
    third = dfk.submit(app(add), (second, 1), {})
    executor.run()
    error = third.exception(0)
    assert isinstance(error, DependencyError)
    assert isinstance(error.root_cause, ValueError)
    assert str(error) == (
        "Task 2 (add) was not run. Root cause: ValueError: boom\n  task 0 (fail) -> task 1 (add) -> task 2 (add)"
    )


def test_an_unaffected_branch_goes_on(kernel, executor):
    dfk = kernel()
    dfk.submit(app(fail), (), {})
    other = dfk.submit(app(add), (1, 1), {})
    executor.run()
    assert other.result(0) == 2


def test_a_failed_task_is_tried_again_as_configured(kernel, executor):
    tries = []

    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise ValueError
        return "ok"

    future = kernel(retries=2).submit(app(flaky), (), {})
    for _ in range(3):
        executor.run()
    assert future.result(0) == "ok"


def test_a_task_that_was_lost_is_run_again_without_using_up_a_retry(kernel, executor):
    future = kernel().submit(app(add), (1, 2), {})
    executor.report([Outcome(executor.taken.pop().id, None, ManagerLost("gone"))])
    executor.run()
    assert future.result(0) == 3


def test_what_another_try_cannot_mend_is_not_tried_again(kernel, executor):
    future = kernel(retries=5).submit(app(add), (1, 2), {})
    executor.report([Outcome(executor.taken.pop().id, None, SerializationError("no"))])
    assert executor.taken == []
    assert isinstance(future.exception(0), SerializationError)


def test_a_future_from_elsewhere_is_waited_for(kernel, executor):
    outside = Future()
    future = kernel().submit(app(add), (outside, 1), {})
    assert executor.taken == []
    outside.set_result(4)
    executor.run()
    assert future.result(0) == 5


def test_a_future_from_elsewhere_is_not_counted_as_a_task(kernel, executor):
    dfk = kernel()
    outside = Future()
    dfk.submit(app(add), (outside, 1), {})
    outside.set_result(4)
    executor.run()
    assert sum(dfk.task_counts().values()) == 1


def test_a_future_from_elsewhere_that_fails_fails_its_dependents(kernel):
    outside = Future()
    future = kernel().submit(app(add), (outside, 1), {})
    outside.set_exception(KeyError("k"))
    assert isinstance(future.exception(0).root_cause, KeyError)
    assert f"{outside!r} -> task 0 (add)" in str(future.exception(0)), "which of many it was"


def test_a_future_of_an_earlier_run_is_like_any_other(kernel, executor):
    earlier = kernel()
    old = earlier.submit(app(add), (1, 2), {})
    executor.run()
    dfk = kernel()
    new = dfk.submit(app(add), (old, 10), {})
    executor.run()
    assert new.result(0) == 13


def test_with_cache_a_second_identical_call_is_not_run(kernel, executor):
    dfk = kernel()
    shared = app(add)
    first = dfk.submit(shared, ([1], [2]), {}, AppOptions(cache=True))
    executor.run()
    first.result(0).append("changed by its caller")
    second = dfk.submit(shared, ([1], [2]), {}, AppOptions(cache=True))
    assert executor.taken == []
    assert second.result(0) == [1, 2]


def test_with_cache_other_arguments_or_other_code_are_run(kernel, executor):
    dfk = kernel()
    dfk.submit(app(add), (1, 2), {}, AppOptions(cache=True))
    executor.run()
    dfk.submit(app(add), (1, 3), {}, AppOptions(cache=True))
    dfk.submit(app(lambda a, b: a - b), (1, 2), {}, AppOptions(cache=True))
    assert len(executor.taken) == 2


def test_a_failure_is_not_cached(kernel, executor):
    dfk = kernel()
    shared = app(fail)
    dfk.submit(shared, (), {}, AppOptions(cache=True))
    executor.run()
    dfk.submit(shared, (), {}, AppOptions(cache=True))
    assert len(executor.taken) == 1


def test_a_waiting_task_that_is_cancelled_never_runs_and_dependents_name_it(kernel, executor):
    dfk = kernel()
    first = dfk.submit(app(add), (1, 2), {})
    second = dfk.submit(app(add), (first, 2), {})
    third = dfk.submit(app(add), (second, 2), {})
    assert second.cancel()
    assert second.cancelled()
    assert isinstance(third.exception(0), DependencyError)
    assert "Root cause: CancelledError\n  task 1 (add) -> task 2 (add)" in str(third.exception(0))
    executor.run()
    assert first.result(0) == 3
    assert wait([second], 1).done == {second}


def test_a_running_task_is_cancelled_through_its_executor(kernel):
    future = kernel(retries=3).submit(app(add), (1, 2), {})
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result(0)


def test_a_task_that_is_faster_than_its_cancelling_keeps_its_result(kernel, executor):
    executor.cancel = lambda tasks: None
    future = kernel().submit(app(add), (1, 2), {})
    assert future.cancel()
    assert not future.cancelled()
    executor.run()
    assert future.result(0) == 3
    assert not future.cancel()


def test_a_future_says_where_its_task_is(kernel, executor):
    dfk = kernel()
    first = dfk.submit(app(fail), (), {})
    second = dfk.submit(app(add), (first, 2), {})
    assert (first.task_status(), second.task_status()) == ("launched", "waiting")
    executor.run()
    assert (first.task_status(), second.task_status()) == ("failed", "dependency_failed")


def test_a_retry_handler_prices_each_failure(kernel, executor):
    seen = []

    def handler(error, task):
        seen.append((type(error), task.app.name, len(task.fail_history)))
        return 0 if len(seen) < 4 else 2

    future = kernel(retries=1, retry_handler=handler).submit(app(fail), (), {})
    for _ in range(4):
        executor.run()
    assert isinstance(future.exception(0), ValueError)
    assert seen == [(ValueError, "fail", n) for n in (1, 2, 3, 4)]


def test_a_retry_handler_that_fails_ends_the_task_with_its_own_error(kernel, executor):
    def handler(error, task):
        raise KeyError("broken handler")

    future = kernel(retries=1, retry_handler=handler).submit(app(fail), (), {})
    executor.run()
    assert isinstance(future.exception(0), KeyError)
    assert isinstance(future.exception(0).__cause__, ValueError)


@pytest.mark.parametrize("cost", [None, "1", True])
def test_a_retry_handler_that_gives_no_number_ends_the_task_and_says_so(kernel, executor, cost):
    future = kernel(retries=1, retry_handler=lambda error, task: cost).submit(app(fail), (), {})
    executor.run()
    assert isinstance(future.exception(0), ConfigurationError)
    assert f"returned {cost!r}; it must return a number" in str(future.exception(0))


def test_a_retry_handler_that_exits_ends_the_task_alone(kernel, executor):
    future = kernel(retries=1, retry_handler=lambda error, task: sys.exit(3)).submit(app(fail), (), {})
    executor.run()
    assert isinstance(future.exception(0), SystemExit)


def test_an_error_whose_text_cannot_be_had_is_the_tasks_all_the_same(kernel, executor):
    class MuteError(Exception):
        def __str__(self):
            raise KeyError("no text")

    def fails():
        raise MuteError

    dfk = kernel()
    future = dfk.submit(app(fails), (), {})
    dependent = dfk.submit(app(add), (future, 1), {})
    executor.run()
    assert isinstance(future.exception(0), MuteError)
    assert "Root cause: MuteError: (its __str__ failed: KeyError)" in str(dependent.exception(0))


def test_an_apps_own_retries_go_before_the_configs(kernel, executor):
    future = kernel(retries=0).submit(app(fail), (), {}, AppOptions(retries=1))
    executor.run()
    assert not future.done()
    executor.run()
    assert isinstance(future.exception(0), ValueError)


def join(function):
    return AppFunction(function, AppKind.JOIN)


def test_a_join_app_has_the_result_of_the_future_that_it_returned(kernel, executor):
    dfk = kernel()
    future = dfk.submit(join(lambda: dfk.submit(app(add), (1, 2), {})), (), {})
    assert not future.done()
    executor.run()
    assert future.result(0) == 3


def test_a_join_app_joins_lists_and_what_is_nested_in_them(kernel, executor):
    dfk = kernel()
    future = dfk.submit(join(lambda n: [[dfk.submit(app(add), (k, 1), {}) for k in range(n)], 7]), (3,), {})
    executor.run()
    assert future.result(0) == [[1, 2, 3], 7]
    assert dfk.submit(join(list), (), {}).result(0) == []


def test_a_join_app_fails_with_the_inner_task_by_name(kernel, executor):
    dfk = kernel()
    future = dfk.submit(join(lambda: [dfk.submit(app(add), (1, 2), {}), dfk.submit(app(fail), (), {})]), (), {})
    executor.run()
    error = future.exception(0)
    assert isinstance(error, JoinError)
    assert isinstance(error.root_cause, ValueError)
    assert "failed with a task that it returned. Root cause: ValueError: boom\n  task 2 (fail) -> task 0" in str(error)


def test_a_join_app_names_every_inner_task_that_failed(kernel, executor):
    dfk = kernel()
    functions = (fail, int, lambda: 1 / 0)
    future = dfk.submit(join(lambda: [dfk.submit(app(function), (), {}) for function in functions]), (), {})
    executor.run()
    error = future.exception(0)
    assert [type(each) for each, _ in error.dependent_exceptions_tids] == [ValueError, ZeroDivisionError]
    assert "Failed too: task 3 (<lambda>)" in str(error)


def test_a_join_app_that_returns_no_future_says_so(kernel):
    error = kernel().submit(join(lambda: 5), (), {}).exception(0)
    assert isinstance(error, JoinAppNoFuture)
    assert "returned 5" in str(error)


def test_identical_calls_in_flight_run_once(kernel, executor):
    dfk = kernel()
    shared = app(add)
    futures = [dfk.submit(shared, ([1], [2]), {}, AppOptions(cache=True)) for _ in range(4)]
    assert len(executor.taken) == 1
    executor.run()
    results = [future.result(0) for future in futures]
    assert results == [[1, 2]] * 4
    assert len({id(result) for result in results}) == 4, "each caller has his own"


def test_when_the_first_of_identical_calls_fails_the_next_is_run(kernel, executor):
    dfk = kernel()
    shared = app(fail)
    futures = [dfk.submit(shared, (), {}, AppOptions(cache=True)) for _ in range(3)]
    for left in (2, 1, 0):
        executor.run()
        assert sum(not future.done() for future in futures) == left


def test_when_the_first_of_identical_calls_is_cancelled_the_next_takes_over(kernel, executor):
    dfk = kernel()
    shared = app(add)
    first, second = (dfk.submit(shared, (1, 2), {}, AppOptions(cache=True)) for _ in range(2))
    executor.cancel = lambda tasks: executor.report([Outcome(tasks[0], None, CancelledError())])
    first.cancel()
    executor.taken = executor.taken[-1:]
    executor.run()
    assert second.result(0) == 3


def test_an_argument_without_identity_is_named_where_a_key_is_wanted(kernel):
    class Odd:
        pass

    error = kernel().submit(app(add), (Odd(), 2), {}, AppOptions(cache=True)).exception(0)
    assert isinstance(error, MemoKeyError)
    assert "id_for_memo" in str(error)


def test_a_failure_is_known_with_its_error_before_any_future_is_set(kernel, executor):
    dfk = kernel()
    first = dfk.submit(app(fail), (), {})
    second = dfk.submit(app(add), (first, 1), {})
    late = []
    first.add_done_callback(lambda _: late.append(dfk.submit(app(add), (second, 1), {})))
    executor.run()
    assert isinstance(late[0].exception(0).root_cause, ValueError)


def test_a_callback_that_ends_its_thread_does_not_end_ours(kernel, executor, caplog):
    dfk = kernel()
    first = dfk.submit(app(add), (1, 2), {})
    first.add_done_callback(lambda _: sys.exit(3))
    second = dfk.submit(app(add), (first, 2), {})
    executor.run()
    executor.run()
    assert second.result(0) == 5
    assert "callback" in caplog.text


def test_results_that_cannot_take_their_place_fail_that_task_alone(kernel, executor):
    dfk = kernel()
    listed = dfk.submit(app(add), ([1], [2]), {})
    broken = dfk.submit(app(len), ({listed},), {})
    other = dfk.submit(app(add), (1, 2), {})
    executor.run()
    assert isinstance(broken.exception(0), TypeError)
    assert other.result(0) == 3


@pytest.mark.parametrize("resolver", ["deep", "shallow"])
def test_what_the_caller_adds_to_a_list_after_the_call_is_not_waited_for(kernel, executor, resolver):
    def of_all(inputs):
        return sum(inputs)

    dfk = kernel(dependency_resolver=resolver)
    numbers = [dfk.submit(app(add), (1, 2), {})]
    total = dfk.submit(app(of_all), (), {"inputs": numbers})
    numbers.append(total)
    executor.run()
    executor.run()
    assert total.result(0) == 3
    assert numbers[1] is total


def test_a_container_that_holds_itself_is_refused_at_the_call(kernel):
    knot = []
    knot.append(knot)
    with pytest.raises(ConfigurationError, match="holds itself"):
        kernel().submit(app(len), (knot,), {})


def test_cleanup_settles_every_future(kernel):
    dfk = kernel()
    running = dfk.submit(app(add), (1, 2), {})
    never = dfk.submit(app(add), (Future(), 2), {})
    dfk.cleanup()
    assert isinstance(running.exception(0), ExecutorClosedError)
    assert isinstance(never.exception(0), ExecutorClosedError)
    with pytest.raises(ExecutorClosedError, match="after its run had ended"):
        dfk.submit(app(add), (1, 2), {})


def test_counts_follow_the_tasks(kernel, executor):
    dfk = kernel()
    first = dfk.submit(app(add), (1, 2), {})
    dfk.submit(app(add), (first, 2), {})
    assert dfk.task_counts()[TaskState.WAITING] == 1
    executor.run()
    assert dfk.task_counts()[TaskState.DONE] == 1

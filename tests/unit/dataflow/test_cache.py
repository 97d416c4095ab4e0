"""Tasks with ``cache=True``: identical calls, the image in the key, and files by time or content."""

import os
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from cnflow import File
from cnflow.dataflow.call_options import AppOptions
from cnflow.dataflow.memo import id_for_memo
from cnflow.errors import ExecutorClosedError, MemoKeyError
from cnflow.model.image import Image
from cnflow.model.task import AppFunction, Outcome

CACHED = AppOptions(cache=True)


def add(a, b):
    return a + b


def fail():
    raise ValueError("boom")


# Identical calls


def test_second_identical_call_is_not_run_and_gets_a_copy(make_dfk, executor):
    dfk = make_dfk()
    shared = AppFunction(add)
    first = dfk.submit(shared, ([1], [2]), {}, CACHED)
    executor.run()
    first.result(0).append("changed by its caller")
    second = dfk.submit(shared, ([1], [2]), {}, CACHED)
    assert executor.taken == []
    assert second.result(0) == [1, 2]


def test_identical_calls_have_one_hashsum(make_dfk, executor):
    dfk = make_dfk(garbage_collect=False)
    shared = AppFunction(add)
    first = dfk.submit(shared, (1, 2), {}, CACHED)
    executor.run()
    first.result(0)
    second = dfk.submit(shared, (1, 2), {}, CACHED)
    second.result(0)
    assert first.task_record.hashsum == second.task_record.hashsum is not None


def test_call_with_other_arguments_or_code_is_run(make_dfk, executor):
    dfk = make_dfk()
    dfk.submit(AppFunction(add), (1, 2), {}, CACHED)
    executor.run()
    dfk.submit(AppFunction(add), (1, 3), {}, CACHED)
    dfk.submit(AppFunction(lambda a, b: a - b), (1, 2), {}, CACHED)
    assert len(executor.taken) == 2


def test_failure_is_not_cached(make_dfk, executor):
    dfk = make_dfk()
    shared = AppFunction(fail)
    dfk.submit(shared, (), {}, CACHED)
    executor.run()
    dfk.submit(shared, (), {}, CACHED)
    assert len(executor.taken) == 1


def test_identical_calls_in_flight_run_once(make_dfk, executor):
    dfk = make_dfk()
    shared = AppFunction(add)
    futures = [dfk.submit(shared, ([1], [2]), {}, CACHED) for _ in range(4)]
    assert len(executor.taken) == 1
    executor.run()
    results = [future.result(0) for future in futures]
    assert results == [[1, 2]] * 4
    assert len({id(result) for result in results}) == 4, "each caller has his own"


def test_next_of_identical_calls_is_run_when_the_first_fails(make_dfk, executor):
    dfk = make_dfk()
    shared = AppFunction(fail)
    futures = [dfk.submit(shared, (), {}, CACHED) for _ in range(3)]
    for left in (2, 1, 0):
        executor.run()
        assert sum(not future.done() for future in futures) == left


def test_next_of_identical_calls_is_run_when_the_first_is_cancelled(make_dfk, executor):
    dfk = make_dfk()
    shared = AppFunction(add)
    first, second = (dfk.submit(shared, (1, 2), {}, CACHED) for _ in range(2))
    executor.cancel = lambda tasks: executor.report([Outcome(tasks[0], None, CancelledError())])
    first.cancel()
    executor.taken = executor.taken[-1:]
    executor.run()
    assert second.result(0) == 3


def test_call_that_waits_for_an_identical_one_is_cancelled_at_once(make_dfk, executor):
    dfk = make_dfk()
    shared = AppFunction(add)
    first, second, third = (dfk.submit(shared, (1, 2), {}, CACHED) for _ in range(3))
    executor.cancel = lambda tasks: pytest.fail(f"tasks {tasks} are in no executor")
    assert second.cancel()
    assert second.cancelled()
    assert not first.done()
    executor.run()
    assert [first.result(0), third.result(0)] == [3, 3]


def test_call_that_is_cancelled_while_its_key_is_made_does_not_wait_for_an_identical_one(make_dfk, executor):
    dfk = make_dfk()

    class Argument:
        """Cancels the second call in the moment in which its key is made."""

    @id_for_memo.register
    def _(obj: Argument, *, output_ref=False):
        if executor.taken:
            dfk.tasks[1].future.cancel()
        return b"1"

    shared = AppFunction(lambda argument: 1)
    futures = [dfk.submit(shared, (Argument(),), {}, CACHED) for _ in range(2)]
    assert [future.cancelled() for future in futures] == [False, True]


def test_argument_without_identity_fails_the_task_with_memo_key_error(make_dfk):
    class Odd:
        pass

    error = make_dfk().submit(AppFunction(add), (Odd(), 2), {}, CACHED).exception(0)
    assert isinstance(error, MemoKeyError)
    assert "id_for_memo" in str(error)


# Images


@pytest.fixture
def in_image(executor):
    executor.image = Image("app:1")
    return executor


def digest_future(digest):
    future = Future()
    future.set_result(digest)
    return future


@pytest.fixture
def app():
    return AppFunction(add)


def test_cached_task_waits_for_the_digest_of_its_image(make_dfk, in_image, app):
    future = make_dfk().submit(app, (1, 2), {}, CACHED)
    assert future.task_status() == "waiting"
    assert not in_image.taken
    in_image.digest.set_result("sha256:1")
    assert len(in_image.taken) == 1
    in_image.run()
    assert future.result(0) == 3


def test_uncached_task_does_not_wait_for_the_digest(make_dfk, in_image, app):
    make_dfk().submit(app, (1, 2), {})
    make_dfk(app_cache=False).submit(app, (1, 2), {}, CACHED)
    assert len(in_image.taken) == 2


def test_cached_task_on_the_bare_node_waits_for_no_digest(make_dfk, executor, app):
    make_dfk().submit(app, (1, 2), {}, CACHED)
    assert len(executor.taken) == 1


def test_same_image_name_with_another_digest_is_another_call(make_dfk, in_image, app):
    dfk = make_dfk()
    for digest, runs in (("sha256:1", 1), ("sha256:2", 1), ("sha256:1", 0)):
        in_image.digest = digest_future(digest)
        dfk.submit(app, (1, 2), {}, CACHED)
        assert len(in_image.taken) == runs
        in_image.run()


def test_other_image_name_with_the_same_digest_is_the_same_call(make_dfk, in_image, app):
    dfk = make_dfk()
    in_image.digest = digest_future("sha256:1")
    dfk.submit(app, (1, 2), {}, CACHED)
    in_image.run()
    in_image.image = Image("registry/app:latest")
    assert dfk.submit(app, (1, 2), {}, CACHED).result(0) == 3


def test_image_name_is_the_key_where_there_is_no_digest(make_dfk, in_image, app):
    dfk = make_dfk()
    in_image.digest = digest_future("")
    dfk.submit(app, (1, 2), {}, CACHED)
    in_image.run()
    assert dfk.submit(app, (1, 2), {}, CACHED).result(0) == 3
    in_image.image = Image("app:2")
    assert not dfk.submit(app, (1, 2), {}, CACHED).done()


def test_options_of_an_image_that_can_change_results_are_part_of_the_key(make_dfk, in_image, app):
    dfk = make_dfk()
    in_image.digest = digest_future("sha256:1")
    dfk.submit(app, (1, 2), {}, CACHED)
    in_image.run()
    in_image.image = Image("app:1", memory="1g", cpus=1, secrets=["TOKEN"])
    assert dfk.submit(app, (1, 2), {}, CACHED).result(0) == 3
    in_image.image = Image("app:1", environment={"MODEL": "large"})
    assert not dfk.submit(app, (1, 2), {}, CACHED).done()


def test_end_of_the_run_fails_tasks_that_wait_for_a_digest(make_dfk, in_image, app):
    dfk = make_dfk()
    future = dfk.submit(app, (1, 2), {}, CACHED)
    in_image.shutdown = lambda: in_image.digest.set_result("")
    dfk.cleanup()
    assert isinstance(future.exception(0), ExecutorClosedError)
    assert not in_image.taken


# Files


@pytest.fixture
def read():
    return AppFunction(lambda file: Path(file).read_text())


@pytest.mark.parametrize(("files_by", "runs"), [("mtime", 1), ("content", 0)])
def test_copy_of_a_file_is_the_same_call_only_by_content(make_dfk, executor, read, tmp_path, files_by, runs):
    dfk = make_dfk(cache_files_by=files_by)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("the same")
    dfk.submit(read, (File(tmp_path / "a.txt"),), {}, CACHED)
    executor.run()
    dfk.submit(read, (File(tmp_path / "b.txt"),), {}, CACHED)
    assert len(executor.taken) == runs


@pytest.mark.parametrize(("files_by", "runs"), [("mtime", 0), ("content", 1)])
def test_change_of_equal_size_and_time_is_another_call_only_by_content(
    make_dfk, executor, read, tmp_path, files_by, runs
):
    dfk = make_dfk(cache_files_by=files_by)
    path = tmp_path / "a.txt"
    for text in ("one", "two"):
        path.write_text(text)
        os.utime(path, ns=(0, 0))
        dfk.submit(read, (File(path),), {}, CACHED)
        found = len(executor.taken)
        executor.run()
    assert found == runs

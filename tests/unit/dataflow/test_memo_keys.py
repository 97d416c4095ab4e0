"""What goes into the key of a task with ``cache=True`` beside its code and arguments: the image, the files' content."""

import os
from concurrent.futures import Future
from pathlib import Path

import pytest

from cnflow import File
from cnflow.dataflow.call_options import AppOptions
from cnflow.errors import ExecutorClosedError
from cnflow.model.task import AppFunction

CACHED = AppOptions(cache=True)


@pytest.fixture
def in_image(executor):
    executor.image = "app:1"
    return executor


def told(digest):
    future = Future()
    future.set_result(digest)
    return future


@pytest.fixture
def app():
    def add(a, b):
        return a + b

    return AppFunction(add)


def test_a_task_waits_until_it_is_known_what_its_image_stands_for(kernel, in_image, app):
    future = kernel().submit(app, (1, 2), {}, CACHED)
    assert future.task_status() == "waiting"
    assert not in_image.taken
    in_image.digest.set_result("sha256:1")
    assert len(in_image.taken) == 1
    in_image.run()
    assert future.result(0) == 3


def test_a_task_that_is_not_remembered_does_not_wait_for_that(kernel, in_image, app):
    kernel().submit(app, (1, 2), {})
    kernel(app_cache=False).submit(app, (1, 2), {}, CACHED)
    assert len(in_image.taken) == 2


def test_on_the_bare_node_nothing_is_waited_for(kernel, executor, app):
    kernel().submit(app, (1, 2), {}, CACHED)
    assert len(executor.taken) == 1


def test_the_same_name_for_another_image_is_another_call(kernel, in_image, app):
    dfk = kernel()
    for digest, runs in (("sha256:1", 1), ("sha256:2", 1), ("sha256:1", 0)):
        in_image.digest = told(digest)
        dfk.submit(app, (1, 2), {}, CACHED)
        assert len(in_image.taken) == runs
        in_image.run()


def test_another_name_for_the_same_image_is_the_same_call(kernel, in_image, app):
    dfk = kernel()
    in_image.digest = told("sha256:1")
    dfk.submit(app, (1, 2), {}, CACHED)
    in_image.run()
    in_image.image = "registry/app:latest"
    assert dfk.submit(app, (1, 2), {}, CACHED).result(0) == 3


def test_where_there_is_no_digest_the_name_has_to_do(kernel, in_image, app):
    dfk = kernel()
    in_image.digest = told("")
    dfk.submit(app, (1, 2), {}, CACHED)
    in_image.run()
    assert dfk.submit(app, (1, 2), {}, CACHED).result(0) == 3
    in_image.image = "app:2"
    assert not dfk.submit(app, (1, 2), {}, CACHED).done()


def test_a_run_that_ends_before_the_digest_is_known_ends_its_tasks(kernel, in_image, app):
    dfk = kernel()
    future = dfk.submit(app, (1, 2), {}, CACHED)
    in_image.shutdown = lambda: in_image.digest.set_result("")
    dfk.cleanup()
    assert isinstance(future.exception(0), ExecutorClosedError)
    assert not in_image.taken


@pytest.fixture
def read():
    return AppFunction(lambda file: Path(file).read_text())


@pytest.mark.parametrize(("files_by", "runs"), [("mtime", 1), ("content", 0)])
def test_a_copy_of_a_file_is_another_file_or_the_same_one(kernel, executor, read, tmp_path, files_by, runs):
    dfk = kernel(cache_files_by=files_by)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("the same")
    dfk.submit(read, (File(tmp_path / "a.txt"),), {}, CACHED)
    executor.run()
    dfk.submit(read, (File(tmp_path / "b.txt"),), {}, CACHED)
    assert len(executor.taken) == runs


@pytest.mark.parametrize(("files_by", "runs"), [("mtime", 0), ("content", 1)])
def test_a_change_that_time_and_size_do_not_tell_is_told_by_the_content(
    kernel, executor, read, tmp_path, files_by, runs
):
    dfk = kernel(cache_files_by=files_by)
    path = tmp_path / "a.txt"
    for text in ("one", "two"):
        path.write_text(text)
        os.utime(path, ns=(0, 0))
        dfk.submit(read, (File(path),), {}, CACHED)
        found = len(executor.taken)
        executor.run()
    assert found == runs

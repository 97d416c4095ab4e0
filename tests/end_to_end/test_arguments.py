"""Arguments are what they were at the call, even if the user's code changes them right after it."""

import pickle

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import ThreadPoolExecutor
from cnflow.executors import HighThroughputExecutor

SIZE = 300_000
"""Bytes; beyond the size from which buffers travel out of band."""


class Frame:
    """Holds its pixels as NumPy's arrays do: pickled as a buffer, without a copy."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __reduce_ex__(self, protocol):
        return Frame, (pickle.PickleBuffer(self.pixels),)


@python_app
def ends_of(pixels, seconds=0.0):
    import time

    time.sleep(seconds)
    return pixels[0], pixels[-1]


@python_app
def ends_of_frame(frame):
    return frame.pixels[0], frame.pixels[-1]


@python_app
def values_in(frame):
    return sorted(set(bytes(frame.pixels)))


@python_app
def fail_once(pixels, folder):
    from pathlib import Path

    mark = Path(folder, "mark")
    pixels[0] += 100
    if not mark.exists():
        mark.touch()
        raise ValueError("once")
    return pixels[0]


@python_app
def make_pixels(number):
    return bytearray([number]) * 2


@pytest.fixture(params=["threads", "workers"])
def run(request, tmp_path):
    kinds = {
        "threads": lambda: ThreadPoolExecutor(max_threads=1),
        "workers": lambda: HighThroughputExecutor(max_workers=1),
    }
    with cnflow.load(Config(executors=[kinds[request.param]()], run_dir=str(tmp_path), retries=1)):
        yield


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("app", "wrap"),
    [
        (ends_of, lambda pixels: pixels),
        (ends_of_frame, Frame),
        (ends_of_frame, lambda pixels: Frame(memoryview(pixels))),
    ],
    ids=["in band", "out of band", "view"],
)
def test_buffer_that_is_filled_again_and_again_reaches_each_task_as_it_was(app, wrap):
    busy = ends_of([0, 0], 0.3)
    pixels, futures = bytearray(SIZE), []
    for number in range(20):
        pixels[0] = pixels[-1] = number
        futures.append(app(wrap(pixels)))
    assert [future.result(60) for future in futures] == [(number, number) for number in range(20)]
    assert busy.done()


@pytest.mark.usefixtures("run")
def test_attempts_at_a_task_that_waited_all_get_the_arguments_of_the_call(tmp_path):
    pixels, first = bytearray([1] * SIZE), ends_of([5, 6], 0.3)
    future = fail_once(pixels, str(tmp_path))
    waiting = ends_of({0: Frame(pixels), -1: first}, 0)
    pixels[0] = 50
    assert future.result(60) == 101
    frame, ends = waiting.result(60)
    assert (frame.pixels[0], tuple(ends)) == (1, (5, 6))
    assert pixels[0] == 50


@pytest.mark.usefixtures("run")
def test_result_that_is_changed_reaches_other_tasks_as_it_was_made():
    pixels, busy = make_pixels(7), ends_of([0, 0], 0.3)
    waiting = ends_of({0: pixels, -1: busy})
    pixels.result(60)[0] = 9
    made, _ = waiting.result(60)
    assert list(made) == [7, 7]


@pytest.mark.usefixtures("run")
def test_large_buffer_that_is_overwritten_right_after_the_call_is_not_torn():
    """The worker is idle: what its socket does not take at once would be read from the user's memory later."""
    pixels = bytearray(8_000_000)
    assert values_in(Frame(bytearray(1))).result(60) == [0]
    pixels[:] = b"\x01" * len(pixels)
    future = values_in(Frame(pixels))
    pixels[:] = b"\x02" * len(pixels)
    assert future.result(60) == [1]


class UnpicklableError(Exception):
    """Pickled with one argument, as all exceptions are that pass one on."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code


@python_app
def code_of(error):
    return error.code


def test_argument_that_cannot_be_unpickled_says_so(tmp_path):
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))):
        error = code_of(UnpicklableError(5, "no")).exception(timeout=30)
    assert type(error) is TypeError
    assert error.__notes__ == ["Raised in the worker while the arguments of code_of were unpickled."]

"""Arguments are what they were at the call, even if the user's code changes them right after it."""

import pickle

import pytest

import cnflow
from cnflow import Config, python_app
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


@pytest.fixture
def run(tmp_path):
    executor = HighThroughputExecutor(max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
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

"""Prints the same on every executor: ``script.py threads|processes|IMAGE RUN_DIR``."""

import sys
import traceback

import lab.constants
import lab.core
import steps
from lab import models

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.providers import DockerProvider


def executor(kind):
    if kind == "threads":
        return ThreadPoolExecutor()
    if kind == "processes":
        return HighThroughputExecutor(max_workers=1)
    return HighThroughputExecutor(image=kind, provider=DockerProvider(), max_workers=1)


@python_app
def call(function, *args):
    return function(*args)


@python_app
def in_the_script(x):
    import lab.core

    return lab.core.scale(x) + models.OFFSET, models.Pair(1, 2)


@python_app
def source_of(function):
    import inspect

    return inspect.getsource(function)


def call_apps():
    print("state", steps.state().result(), steps.locked(1).result(), steps.same(1).result())
    print("imports", steps.imports_in_its_body().result())
    print("join", steps.joined(2).result())
    is_point, point = steps.is_point(models.Point(3)).result()
    print("classes", is_point, type(point) is models.Point, point.color is models.Color.RED)
    print("script", in_the_script(1).result())
    print("functions", [call(each, 3).result() for each in (models.make_adder(5), models.square, models.cached)])
    print("source", source_of(models.fail).result())
    error = call(models.fail, 7).exception()
    text = "".join(traceback.format_exception(error))
    print("error", type(error) is models.LabError, error.code, "    raise LabError(code)" in text)
    print(models.__file__ + '", line' in text)


def change_things():
    multiplier = models.Multiplier()
    steps.RATE = 30
    print("assigned", steps.locked(1).result())
    steps.CONFIG["more"] = 5
    print("in place", steps.locked(1).result(), steps.same(5).result())
    steps.RATE = 3
    print("as it was", steps.locked(1).result())
    models.OFFSET = 1000
    print("of another module", call(models.make_adder(5), 1).result(), in_the_script(1).result())
    models.Multiplier.rate = 7
    print("of a class", call(multiplier, 3).result())
    lab.constants.FACTOR = 5
    print("imported from there before", steps.locked(1).result())
    lab.core.FACTOR = 5
    print("in the module that uses it", steps.locked(1).result())
    lab.core.offsets.offset = lambda: 100
    print("a function", steps.locked(1).result())


if __name__ == "__main__":
    kind, run_dir = sys.argv[1:]
    with cnflow.load(Config(executors=[executor(kind)], run_dir=run_dir)):
        call_apps()
        change_things()

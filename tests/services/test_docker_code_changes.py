"""Tasks in a container run the code of their call, as the driver's user sees it then."""

import sys

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import DockerProvider, HighThroughputExecutor

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

OWN_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"

PROGRAM = """
import functools
rate, table = 1, {"k": 1}
class Tool:
    step = 1
    def go(self): return self.step
def make(n):
    def get(): return n
    return get
get = make(1)
@functools.lru_cache
def helper(): return rate
def task(tool): return rate, table["k"], tool.go(), get(), helper(), isinstance(tool, Tool), tool
"""

EDITS = ["rate = 2", "table['k'] = 2", "Tool.step = 2", "get = make(2)", "Tool.go = lambda self: 3", "Tool.step = 1"]


def test_containers_run_the_code_that_plain_python_runs(image_base, python_of, tmp_path):
    if python_of(image_base) != OWN_MINOR:
        pytest.skip(f"{image_base} has another Python than this one. Run: make base-image, or use its Python")
    names = {"__name__": "__main__"}
    exec(PROGRAM, names)
    executor = HighThroughputExecutor(image=image_base, provider=DockerProvider(), max_workers=1)
    task = python_app(image=image_base)(names["task"])
    calls = []
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        for edit in ["", *EDITS]:
            exec(edit, names)
            names["helper"].cache_clear()
            calls.append((edit, task(names["Tool"]()), names["task"](names["Tool"]())))
        for edit, call, expected in calls:
            *values, tool = call.result(timeout=90)
            assert (edit, *values) == (edit, *expected[:-1])
            assert type(tool) is names["Tool"]
    assert names["Tool"].step == 1

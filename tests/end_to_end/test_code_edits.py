"""Code that is edited between calls at random: every executor returns what plain Python does, also from its cache."""

import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cnflow
from cnflow import Config, python_app
from cnflow.config import ThreadPoolExecutor
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

PROGRAM = """
    import functools

    rate = 0
    table = {"k": [0]}
    pixels = bytearray([0])

    def inner():
        return rate

    def helper(x=0, *, y=0):
        return inner(), x, y, table["k"][0], pixels[0]

    def make(n):
        def get():
            return n
        def put(value):
            nonlocal n
            n = value
        return get, put

    get, put = make(0)

    class Base:
        b = 0
        def hello(self):
            return rate

    class Tool(Base):
        step = 0
        def go(self):
            return self.step, self.b, self.n, self.hello()
        class Inner:
            n = 0

    tool = Tool()
    tool.n = 0
    bound = functools.partial(helper, 0)

    @functools.singledispatch
    def kind_of(value):
        return 0

    def task():
        return helper(), get(), tool.go(), Tool.step, Tool.Inner.n, bound(), kind_of(1), isinstance(tool, Tool)
"""

EDITS = [
    "rate = {}",
    "table['k'][0] = {}",
    "table = {{'k': [{}]}}",
    "pixels[0] = {}",
    "def inner(): return rate + {}",
    "def inner(): return {}, [rate for _ in range(2)]",
    "def helper(x={}, *, y=1): return inner(), x, y",
    "helper.__defaults__ = ({},)",
    "helper.__code__ = (lambda x, y=0: (x, y, {})).__code__",
    "put({})",
    "get, put = make({})",
    "Base.b = {}",
    "Tool.step = {}",
    "Tool.Inner.n = {}",
    "Tool.go = lambda self: (self.n, {})",
    "Base.hello = lambda self: (rate, {})",
    "class Base:\n    b = {}\n    def hello(self): return 1",
    "class Tool(Base):\n    step = {}\n    class Inner: n = 1\n    def go(self): return self.n",
    "tool.n = {}",
    "tool = Tool(); tool.n = {}",
    "bound = functools.partial(helper, {})",
    "kind_of.register(int)(lambda value: {})",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    processes = HighThroughputExecutor(label="processes", provider=LocalProvider(max_blocks=1), max_workers=2)
    executors = [processes, ThreadPoolExecutor(label="threads", max_threads=1)]
    with cnflow.load(Config(executors=executors, run_dir=str(tmp_path_factory.mktemp("run")))) as dfk:
        yield dfk
    cnflow.clear()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 3)), min_size=1, max_size=12))
def test_every_executor_runs_the_code_that_plain_python_runs(run, edits):
    names = {"__name__": "__main__"}
    exec(textwrap.dedent(PROGRAM), names)
    apps = {
        (label, is_cached): python_app(executors=label, cache=is_cached)(names["task"])
        for label in ("threads", "processes")
        for is_cached in (False, True)
    }
    calls = []
    for edit, number in edits:
        exec(edit.format(number), names)
        expected = plainly(names["task"])
        for (label, is_cached), app in apps.items():
            call = app()
            calls.append((edit, label, is_cached, call, expected))
            if label == "threads":
                call.exception()  # threads run the code that is there when they come to it
    wrong = [
        (edit, label, is_cached, outcome(call), expected)
        for edit, label, is_cached, call, expected in calls
        if outcome(call) != expected
    ]
    assert wrong == []


def plainly(function):
    try:
        return function()
    except Exception as error:
        return type(error).__name__


def outcome(call):
    error = call.exception()
    return call.result() if error is None else type(error).__name__

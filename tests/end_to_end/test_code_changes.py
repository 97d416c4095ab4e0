"""A task runs the code of its call: globals, helpers, classes and closures may change between two calls."""

import itertools
import subprocess
import sys
import textwrap
import threading

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.config import ThreadPoolExecutor
from cnflow.dataflow.memo import id_of_code
from cnflow.executors import HighThroughputExecutor
from cnflow.executors.high_throughput.function_versions import version_of
from cnflow.providers import LocalProvider

CHANGES = {
    "number": ("rate = 1", "rate = 2", "return rate"),
    "item of a dict": ("settings = {'k': 1}", "settings['k'] = 2", "return settings['k']"),
    "dict in a list in a dict": ("deep = {'k': [{'n': 1}]}", "deep['k'][0]['n'] = 2", "return deep['k'][0]['n']"),
    "list that grows": ("seen = [1]", "seen.append(1)", "return len(seen)"),
    "set that changes": ("names = {1}", "names.add(2); names.remove(1)", "return max(names)"),
    "bytes that change in place": ("pixels = bytearray([1])", "pixels[0] = 2", "return pixels[0]"),
    "helper": ("def helper(): return 1", "def helper(): return 2", "return helper()"),
    "helper of a helper": (
        "rate = 1\ndef inner(): return rate\ndef helper(): return inner()",
        "rate = 2",
        "return helper()",
    ),
    "default of a helper": ("def helper(x=1): return x", "helper.__defaults__ = (2,)", "return helper()"),
    "keyword default": ("def helper(*, x=1): return x", "helper.__kwdefaults__['x'] = 2", "return helper()"),
    "attribute of a function": ("def helper(): pass\nhelper.n = 1", "helper.n = 2", "return helper.n"),
    "code of a helper": ("def helper(): return 1", "helper.__code__ = (lambda: 2).__code__", "return helper()"),
    "closure": (
        (
            "def make(n):\n    def get(): return n\n    def change():\n        nonlocal n\n        n = 2\n"
            "    return get, change\nhelper, change = make(1)"
        ),
        "change()",
        "return helper()",
    ),
    "attribute of a class": ("class Tool: step = 1", "Tool.step = 2", "return Tool().step"),
    "dict of a class": ("class Tool: steps = {'k': 1}", "Tool.steps['k'] = 2", "return Tool.steps['k']"),
    "method of a class": ("class Tool:\n    def go(self): return 1", "Tool.go = lambda self: 2", "return Tool().go()"),
    "global of a method": ("rate = 1\nclass Tool:\n    def go(self): return rate", "rate = 2", "return Tool().go()"),
    "static method": (
        "class Tool:\n    @staticmethod\n    def go(): return 1",
        "Tool.go = staticmethod(lambda: 2)",
        "return Tool.go()",
    ),
    "property": (
        "rate = 1\nclass Tool:\n    @property\n    def n(self): return rate",
        "rate = 2",
        "return Tool().n",
    ),
    "class defined anew": ("class Tool: step = 1", "class Tool: step = 2", "return Tool().step"),
    "base class": ("class Base: step = 1\nclass Tool(Base): pass", "Base.step = 2", "return Tool().step"),
    "class in a class": (
        "class Outer:\n    class Inner: step = 1",
        "Outer.Inner.step = 2",
        "return Outer.Inner.step",
    ),
    "instance": ("class Tool: pass\ntool = Tool(); tool.n = 1", "tool.n = 2", "return tool.n"),
    "instance with slots": (
        "class Tool: __slots__ = ('n',)\ntool = Tool(); tool.n = 1",
        "tool.n = 2",
        "return tool.n",
    ),
    "data class": (
        "from dataclasses import dataclass\n@dataclass\nclass Point: x: int = 1\npoint = Point()",
        "point.x = 2",
        "return point.x",
    ),
    "enumeration": (
        "import enum\nclass Level(enum.Enum): LOW = 1",
        "class Level(enum.Enum): LOW = 2",
        "return Level.LOW.value",
    ),
    "partial": (
        "import functools\nrate = 1\ndef add(x, y): return x + y + rate\nhelper = functools.partial(add, 0, y=0)",
        "rate = 2",
        "return helper()",
    ),
    "helper under lru_cache": (
        "import functools\nrate = 1\n@functools.lru_cache\ndef helper(n): return rate + n",
        "rate = 2; helper.cache_clear()",
        "return helper(0)",
    ),
    "implementation of singledispatch": (
        "import functools\n@functools.singledispatch\ndef helper(x): return 1",
        "@helper.register\ndef _(x: int): return 2",
        "return helper(0)",
    ),
    "helper under wraps": (
        (
            "import functools\nrate = 1\ndef twice(f):\n    @functools.wraps(f)\n    def g(): return f()\n"
            "    return g\n@twice\ndef helper(): return rate"
        ),
        "rate = 2",
        "return helper()",
    ),
    "name that was not there": (
        "def helper():\n    try: return late\n    except NameError: return 1",
        "late = 2",
        "return helper()",
    ),
    "name that hides a builtin": ("globals().pop('max', None)", "max = lambda *_: 2", "return max(0, 1)"),
}
"""Name -> cell of a notebook, a cell that changes what the first defined, and the body of a function: it returns 1
after the first and 2 after the second."""


class Notebook:
    """Cells that run in one namespace, as in Jupyter."""

    def __init__(self):
        self.names = {"__name__": "__main__"}

    def run(self, cell):
        exec(compile(textwrap.dedent(cell), "<cell>", "exec"), self.names)

    def define(self, function, label, **options):
        """Return an app on the executor *label*."""
        self.run(function)
        name = function.split("def ")[-1].partition("(")[0]
        return python_app(executors=label, **options)(self.names[name])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    one_worker = HighThroughputExecutor(label="processes", provider=LocalProvider(max_blocks=1), max_workers=1)
    executors = [one_worker, ThreadPoolExecutor(label="threads", max_threads=1)]
    with cnflow.load(Config(executors=executors, run_dir=str(tmp_path_factory.mktemp("run")), retries=1)) as dfk:
        yield dfk
    cnflow.clear()


@pytest.fixture(params=["threads", "processes"])
def label(run, request):
    return request.param


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_two_calls_is_seen_by_the_second(label, change):
    before, after, body = CHANGES[change]
    notebook = Notebook()
    notebook.run(before)
    task = notebook.define(f"def task(): {body}", label)
    assert task().result() == 1
    notebook.run(after)
    assert task().result() == 2


def test_a_change_is_seen_by_the_command_line_of_a_bash_app(label, tmp_path):
    notebook = Notebook()
    notebook.run("rate = 1\ndef command(stdout): return f'echo {rate}'")
    command = bash_app(executors=label)(notebook.names["command"])
    for rate in (1, 2):
        notebook.run(f"rate = {rate}")
        assert command(stdout=str(tmp_path / str(rate))).result() == 0
        assert (tmp_path / str(rate)).read_text() == f"{rate}\n"


SCRIPT = """
import cnflow
import steps
from cnflow import Config, python_app
from cnflow.checkpoints import get_all_checkpoints
from steps import scale

@python_app(cache=True)
def by_name(x):
    return scale(x)

@python_app(cache=True)
def by_module(x):
    return steps.scale(x)

@python_app(cache=True)
def in_body(x):
    import steps
    return steps.scale(x)

with cnflow.load(Config(checkpoint_mode="task_exit", checkpoint_files=get_all_checkpoints())):
    print(*(app(3).result() for app in (by_name, by_module, in_body)))
"""


def test_a_checkpoint_is_not_used_for_a_helper_that_was_edited_between_two_runs(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    printed = []
    for body in ("print('ran'); return 2 * x", "print('ran'); return 2 * x  # as before", "return 1000 * x"):
        (tmp_path / "steps.py").write_text(f"def scale(x):\n    {body}\n")
        command = [sys.executable, "-B", "script.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        printed.append(done.stdout.split())
    assert printed == [["ran", "ran", "ran", "6", "6", "6"], ["6", "6", "6"], ["3000", "3000", "3000"]]


@pytest.mark.parametrize("change", CHANGES)
def test_a_cached_result_is_used_for_the_code_that_made_it_alone(label, change):
    before, after, body = CHANGES[change]
    notebook = Notebook()
    notebook.run(before)
    name = f"{label}_{list(CHANGES).index(change)}"  # part of the key: other cases have the same code
    task = notebook.define(f"ran = []\ndef {name}(): ran.append(1); {body}", label, cache=True)
    assert [task().result(), task().result()] == [1, 1]
    assert len(notebook.names["ran"]) == (label == "threads")
    notebook.run(after)
    assert task().result() == 2


@pytest.mark.parametrize("change", ["number", "item of a dict", "attribute of a class", "method of a class", "helper"])
def test_a_change_that_is_taken_back_is_seen_too(label, change):
    before, after, body = CHANGES[change]
    notebook = Notebook()
    task = None
    for _ in range(2):
        for cell, expected in ((before, 1), (after, 2)):
            notebook.run(cell)
            task = task or notebook.define(f"def task(): {body}", label)
            assert task().result() == expected


def test_tasks_of_two_versions_of_a_class_run_in_one_worker(run):
    notebook = Notebook()
    notebook.run("class Tool: step = 1")
    task = notebook.define("def task(): return Tool.step", "processes")
    calls = []
    for step in (1, 2, 1, 3, 2):
        notebook.names["Tool"].step = step
        calls.append(task())
    assert [call.result() for call in calls] == [1, 2, 1, 3, 2]


def test_a_waiting_task_runs_the_code_of_its_call(run):
    notebook = Notebook()
    notebook.run("rate = 1\nclass Tool: step = 1")
    task = notebook.define("def task(_): return rate, Tool.step, isinstance(_, Tool)", "processes")
    gate = threading.Event()
    opened = python_app(executors="threads")(lambda: (gate.wait(20), notebook.names["Tool"]())[1])()
    waiting = task(opened)
    notebook.run("rate = 2\nTool.step = 2")
    gate.set()
    assert waiting.result() == (1, 1, True)
    assert task(notebook.names["Tool"]()).result() == (2, 2, True)


def test_another_attempt_runs_the_code_of_the_call(run, tmp_path):
    notebook = Notebook()
    notebook.run("rate = 1")
    task = notebook.define(
        """
        def task(folder):
            import pathlib, time
            if not pathlib.Path(folder, "failed").exists():
                pathlib.Path(folder, "failed").touch()
                while not pathlib.Path(folder, "changed").exists():
                    time.sleep(0.02)
                raise ValueError
            return rate
        """,
        "processes",
    )
    call = task(str(tmp_path))
    notebook.run("rate = 2")
    (tmp_path / "changed").touch()
    assert call.result() == 1


def test_a_result_does_not_change_the_class_of_the_script(run):
    notebook = Notebook()
    notebook.run("rate = 1\nclass Tool:\n    step = 1\n    def go(self): return rate")
    make = notebook.define("def make(): return Tool()", "processes")
    call = make()
    tool_class = notebook.names["Tool"]
    tool_class.step = 5
    made = call.result()
    assert type(made) is tool_class
    assert (tool_class.step, made.step) == (5, 5)
    notebook.run("rate = 2")
    assert made.go() == 2
    assert type(make().result()) is tool_class


def test_an_instance_keeps_its_class_on_the_way_to_a_task_and_back(run):
    notebook = Notebook()
    notebook.run("class Tool: step = 1")
    same = notebook.define("def same(tool): return isinstance(tool, Tool), tool", "processes")
    for step in (1, 2, 3):
        notebook.names["Tool"].step = step
        tool = notebook.names["Tool"]()
        is_tool, back = same(tool).result()
        assert is_tool
        assert type(back) is notebook.names["Tool"]


def test_an_argument_brings_its_class_as_it_is_at_the_call(run):
    notebook = Notebook()
    notebook.run("class Tool:\n    step = 1\n    def go(self): return self.step")
    go = notebook.define("def go(tool): return tool.go()", "processes")
    tool = notebook.names["Tool"]()
    assert go(tool).result() == 1
    notebook.names["Tool"].step = 2
    assert go(tool).result() == 2
    notebook.names["Tool"].go = lambda self: 3
    assert go(tool).result() == 3


def test_a_function_that_does_not_change_is_sent_once(run):
    notebook = Notebook()
    notebook.run("rate = 1\npixels = bytearray(3)\nclass Tool: seen = {1: 'a'}")
    task = notebook.define("def task(): return rate, len(pixels), Tool.seen", "processes")
    version_of = run.executors["processes"].version_of
    versions = [version_of(task._cnflow.app) for _ in range(3)]
    assert len({version.function.id for version in versions}) == 1
    assert len({id(version.function) for version in versions}) == 1


@pytest.fixture
def restless():
    """Has a thread change code all the time, which gets its turn often: ``restless(change)``, and ends it."""
    stopped, threads, interval = threading.Event(), [], sys.getswitchinterval()

    def change_all_the_time(change):
        while not stopped.is_set():
            change()

    def start(change):
        threads.append(threading.Thread(target=change_all_the_time, args=(change,)))
        threads[0].start()
        sys.setswitchinterval(1e-5)

    def stop():
        stopped.set()
        for thread in threads:
            thread.join(20)
        sys.setswitchinterval(interval)

    start.stop = stop
    yield start
    stop()


def test_no_result_stands_under_the_key_of_other_code_while_threads_change_it(label, restless):
    notebook = Notebook()
    notebook.run("rate, table = 1, {'k': 1}\nclass Tool: step = 1\ndef helper(): return rate")
    task = notebook.define(f"def restless_{label}(n): return helper(), table['k'], Tool.step", label, cache=True)
    # In threads, what is changed back while a task runs is not seen: values are new ones there.
    values = {"threads": "map(next, [numbers])", "processes": "(2, 1)"}[label]
    notebook.names["numbers"] = itertools.count(3)
    change = compile(f"for rate in {values}:\n    Tool.step = table['k'] = rate", "<cell>", "exec")
    restless(lambda: exec(change, notebook.names))
    calls = [task(n) for n in range(40)]
    met = [1 if call.exception() else call.result()[0] for call in calls]
    restless.stop()
    for n in range(40):
        for rate in {1, 2, met[n]}:
            notebook.run(f"rate = table['k'] = Tool.step = {rate}")
            assert task(n).result() == (rate, rate, rate)


WRAPPED = {
    "lru_cache": ("@functools.lru_cache(maxsize=None)\ndef helper(n): return n * n", "return helper(n)", 9),
    "recursion under cache": (
        "@functools.cache\ndef helper(n): return 1 if n < 2 else n * helper(n - 1)",
        "return helper(n)",
        6,
    ),
    "singledispatch": (
        "@functools.singledispatch\ndef helper(n): return 'any'\n@helper.register\ndef _(n: int): return helper('')",
        "return helper(n)",
        "any",
    ),
    "cached_property": (
        "class Shape:\n    @functools.cached_property\n    def area(self): return 12",
        "return Shape().area",
        12,
    ),
    "lru_cache on a method": (
        "class Shape:\n    @functools.lru_cache\n    def scaled(self, n): return n * 12",
        "return Shape().scaled(n)",
        36,
    ),
    "singledispatchmethod": (
        (
            "class Shape:\n    @functools.singledispatchmethod\n    def show(self, n): return 'any'\n"
            "    @show.register\n    def _(self, n: int): return 'int'"
        ),
        "return Shape().show(n)",
        "int",
    ),
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_functions_under_wrappers_of_the_standard_library_run(label, wrapper):
    cell, body, expected = WRAPPED[wrapper]
    notebook = Notebook()
    notebook.run(f"import functools\n{cell}")
    assert notebook.define(f"def task(n): {body}", label)(3).result() == expected


def test_a_wrapped_function_is_an_app_and_an_argument(label):
    notebook = Notebook()
    notebook.run("import functools\n@functools.lru_cache\ndef helper(n): return n * 3")
    helper = notebook.names["helper"]
    assert python_app(executors=label)(helper)(3).result() == 9
    assert notebook.define("def call(f, n): return f(n)", label)(helper, 3).result() == 9


@pytest.mark.parametrize("change", CHANGES)
def test_the_key_of_what_is_sent_is_that_of_the_function_itself(change):
    before, after, body = CHANGES[change]
    notebook = Notebook()
    for cell in (before, after):
        notebook.run(cell)
        app = notebook.define(f"def task(): {body}", "processes")._cnflow.app
        apart = version_of(app).function_apart()
        assert apart is None or id_of_code(app, apart=apart) == id_of_code(app)
    is_plain = change not in {"bytes that change in place", "instance with slots"}
    assert (apart is not None) == is_plain

"""What a key has of the code that a function reaches: the user's modules, values of globals, wrappers, classes."""

import dataclasses
import functools
import importlib
import sys
import textwrap

import pytest

from cnflow.dataflow.memo.bytecode import parse
from cnflow.dataflow.memo.keys import id_of_code, key_of
from cnflow.dataflow.memo.modules import is_installed
from cnflow.errors import MemoKeyError
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction, TaskToRun


def key(function, *args):
    return key_of(TaskToRun(TaskId(0), AppFunction(function), args, {}), "")


def define(source, name="f", **others):
    space = {"__name__": "script", **others}
    exec(textwrap.dedent(source), space)
    return space[name]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes and imports modules of the user's own: ``own("helper", source)``."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name, source, *, load=True):
        path = tmp_path.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        for loaded in set(sys.modules) - before:
            if loaded == name or loaded.startswith(f"{name}."):
                del sys.modules[loaded]
        return importlib.import_module(name) if load else None

    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in sys.modules[name].__file__:
            del sys.modules[name]


SCALE, OTHER_SCALE = "def scale(x): return 2 * x\nK = 1", "def scale(x): return 3 * x\nK = 1"


@pytest.mark.parametrize(
    "body",
    [
        "return helper.scale(x)",
        "m = helper; return m.scale(x)",
        "return [helper.scale(y) for y in x]",
        "return (lambda: helper.scale)()(x)",
        "import helper; return helper.scale(x)",
        "import helper as h; return h.scale(x)",
        "from helper import scale; return scale(x)",
        "from helper import scale as s; return s(x)",
    ],
)
def test_functions_of_own_modules_are_part_of_the_key(own, body):
    source = f"def f(x): {body}"
    first = key(define(source, helper=own("helper", SCALE)), 1)
    assert key(define(source, helper=own("helper", "# a comment\n" + SCALE)), 1) == first
    assert key(define(source, helper=own("helper", OTHER_SCALE)), 1) != first


def test_what_a_function_does_not_read_of_a_module_is_not_part_of_its_key(own):
    source = "def f(x): return helper.scale(x)"
    first = key(define(source, helper=own("helper", SCALE)), 1)
    assert key(define(source, helper=own("helper", SCALE + "\nOTHER = 2")), 1) == first


def test_modules_in_packages_and_helpers_of_helpers_are_part_of_the_key(own):
    def key_with(source):
        own("pkg", "from . import tools\nfrom .tools import scale as exported", load=False)
        own("pkg.tools", "from . import deep\ndef scale(x): return deep.inner(x)", load=False)
        own("pkg.deep", source, load=False)
        for name in [name for name in sys.modules if name.partition(".")[0] == "pkg"]:
            del sys.modules[name]
        pkg = importlib.import_module("pkg")
        return [
            key(define("def f(x): return pkg.tools.scale(x)", pkg=pkg), 1),
            key(define("def f(x): return pkg.exported(x)", pkg=pkg), 1),
            key(define("def f(x):\n    import pkg.tools as t\n    return t.scale(x)"), 1),
            key(define("def f(x):\n    from pkg import tools\n    return tools.scale(x)"), 1),
            key(define("def f(x):\n    from .tools import scale\n    return scale(x)", __package__="pkg"), 1),
        ]

    (own("pkg.deep", "").__file__,)  # makes the folder of the package
    one, other = key_with("def inner(x): return x"), key_with("def inner(x): return -x")
    assert all(a != b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("body", ["import later; return later.scale(x)", "from later import scale; return scale(x)"])
def test_a_module_that_only_workers_import_counts_by_its_source(own, body):
    f = define(f"def f(x): {body}")
    own("inner", "N = 1", load=False)
    own("later", f"import inner\n{SCALE}", load=False)
    first = key(f, 1)
    own("later", f"# a comment\nimport inner\n{SCALE}", load=False)
    assert key(f, 1) == first
    assert "later" not in sys.modules
    own("inner", "N = 22", load=False)
    second = key(f, 1)
    own("later", f"import inner\n{OTHER_SCALE}    # changed", load=False)
    assert len({first, second, key(f, 1)}) == 3


def test_a_module_in_a_closure_is_part_of_the_key(own):
    source = "def make(m):\n    def f(x): return m.scale(x)\n    return f"
    one = key(define(source, "make")(own("helper", SCALE)), 1)
    assert key(define(source, "make")(own("helper", OTHER_SCALE)), 1) != one


def test_an_own_module_may_have_the_name_of_one_of_the_standard_library():
    assert is_installed("code", functools.__file__.replace("functools", "code"))
    assert is_installed("itertools", None)
    assert not is_installed("code", "/home/user/code.py")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("k = {'a': [1]}", "k = {'a': [2]}"),
        ("k = [1]", "k = [1, 2]"),
        ("k = {'f': lambda: 1}", "k = {'f': lambda: 2}"),
        ("class T: pass\nk = T(); k.n = 1", "class T: pass\nk = T(); k.n = 2"),
        ("class T:\n    def g(self): return 1\nk = T()", "class T:\n    def g(self): return 2\nk = T()"),
        ("class k: steps = {'a': 1}", "class k: steps = {'a': 2}"),
        ("class k:\n    class Inner: n = 1", "class k:\n    class Inner: n = 2"),
        (
            "import functools\nclass k:\n    @functools.lru_cache\n    def g(self): return 1",
            "import functools\nclass k:\n    @functools.lru_cache\n    def g(self): return 2",
        ),
        (
            "import functools\nclass k:\n    @functools.cached_property\n    def g(self): return 1",
            "import functools\nclass k:\n    @functools.cached_property\n    def g(self): return 2",
        ),
        (
            "import functools\n@functools.singledispatch\ndef k(x): return 0\n@k.register\ndef _(x: int): return 1",
            "import functools\n@functools.singledispatch\ndef k(x): return 0\n@k.register\ndef _(x: int): return 2",
        ),
        (
            "import threading\ndef make(lock):\n    def k(): return lock, 1\n    return k\nk = make(threading.Lock())",
            "import threading\ndef make(lock):\n    def k(): return lock, 2\n    return k\nk = make(threading.Lock())",
        ),
        ("def k(): pass\nk.n = 1", "def k(): pass\nk.n = 2"),
    ],
)
def test_a_global_counts_by_its_content(before, after):
    source = "{}\ndef f(): return k"
    one = key(define(source.format(before)))
    assert key(define(source.format(before))) == one
    assert key(define(source.format(after))) != one


def test_a_global_that_the_function_changes_is_its_memory():
    f = define(
        """
        def f(x):
            calls.append(x)
            counter["n"] += 1
            table[x] = 1
            tree["a"]["b"] = 1
            thing.n = 2
            del gone[1]
            return plain["k"], calls
        """
    )
    assert parse(f.__code__).memory == {"calls", "counter", "table", "tree", "thing", "gone"}


def test_a_method_of_an_argument_is_part_of_the_key():
    def point(body):
        space = {"dataclass": dataclasses.dataclass, "__name__": "script"}
        exec(f"@dataclass\nclass Point:\n    x: int\n    def area(self): {body}", space)
        return space["Point"](1)

    def f(point):
        return point.area()

    one = point("return 1")
    assert key(f, one) == key(f, point("return 1"))
    assert key(f, one) != key(f, point("return 2"))
    assert key(f, [one, one]) == key(f, [one, point("return 1")])


def test_the_id_of_code_is_that_of_the_moment_and_keeps_its_error():
    space = {"__name__": "script"}
    exec("rate = 1\ndef f(x): return rate", space)
    app = AppFunction(space["f"])
    task = TaskToRun(TaskId(0), app, (1,), {})
    before = id_of_code(app)
    expected = key_of(task, "")
    space["rate"] = 2
    assert key_of(task, "", code=before) == expected != key_of(task, "")
    closed = define("def make(lock):\n    def f(x): return lock\n    return f", "make")(object())
    task = TaskToRun(TaskId(0), AppFunction(closed), (1,), {})
    with pytest.raises(MemoKeyError, match="closure variable 'lock'"):
        key_of(task, "", code=id_of_code(task.app))


NODE = "class Node:\n    def __init__(self, value): self.value = value\n"
DEEP = {
    "list of 300 levels": ("g = [1]\nfor _ in range(300): g = [g]", None),
    "chain of 400 functions": (
        "".join(f"def h{n}(): return h{n + 1}()\n" for n in range(400)) + "def h400(): return k\nk = 1\ng = h0",
        "k = 2",
    ),
    "linked instances": (
        NODE + "g = last = Node(1)\nfor _ in range(300):\n    first = Node(0); first.next = g; g = first",
        "last.value = 2",
    ),
    "instances that hold each other": (NODE + "g = Node(1); other = Node(g); g.other = other", "g.value = 2"),
    "instances in a list": (NODE + "g = [Node(1)]", "g[0].value = 2"),
    "instance that is an attribute of its class": (
        NODE + "    def go(self): return 1\nNode.first = g = Node(1)",
        "Node.first.value = 2",
    ),
    "method of instances in a list": (
        NODE + "    def go(self): return 1\ng = [Node(1), Node(2)]",
        "Node.go = lambda self: 2",
    ),
    "list that holds itself": ("g = [1]; g.append(g)", "g[0] = 2"),
}


@pytest.mark.parametrize("case", DEEP)
def test_a_change_deep_in_a_global_is_seen(case):
    before, after = DEEP[case]
    space = {"__name__": "script"}
    exec(before + "\ndef f(): return g", space)
    first = key(space["f"])
    assert key(space["f"]) == first
    exec(after or before.replace("[1]", "[2]"), space)
    assert key(space["f"]) != first


def test_the_script_is_the_users_own_under_an_installed_program(monkeypatch):
    monkeypatch.setattr(
        sys.modules["__main__"], "__file__", "/usr/lib/python3/site-packages/tool/__main__.py", raising=False
    )
    space = {"__name__": "__main__"}
    exec("class Tool: step = 1\ndef f(): return Tool.step", space)
    first = key(space["f"])
    space["Tool"].step = 2
    assert key(space["f"]) != first

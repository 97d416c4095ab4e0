"""Code arrives with the name of the user's file and its line numbers, whatever cloudpickle does with them."""

import asyncio
import hashlib
import linecache
import os
import pickle
import subprocess
import sys
import traceback
import types

import cloudpickle
import pytest

from cnflow.wire import serialization

FILE = "/home/user/analysis.py"
SOURCE = """\
import functools
def plain(x): return 1 / x
async def coroutine(x): return 1 / x
twice = lambda x: 1 / x
def comprehension(x): return [1 / y for y in [x]]
def generator(x): yield 1 / x
def uses_a_generator(x): return list(generator(x))
def make(factor):
    def inner(x):
        return factor / x
    return inner
closure = make(2)
def nested(x):
    def innermost(): return 1 / x
    return innermost()
class Model:
    def method(self, x): return 1 / x
    @staticmethod
    def static(x): return 1 / x
    @classmethod
    def of_class(cls, x): return 1 / x
    @property
    def share(self): return 1 / 0
method, static, of_class = Model().method, Model.static, Model.of_class
def reads_property(x): return Model().share
def decorate(function):
    @functools.wraps(function)
    def wrapper(*args): return function(*args)
    return wrapper
decorated = decorate(plain)
partial = functools.partial(plain)
def with_default(x, function=lambda x: 1 / x): return function(x)
"""
LINES = SOURCE.splitlines()


def sent(value):
    body, buffers, _ = serialization.dump(value)
    return serialization.load(body, buffers)


@pytest.fixture(scope="module")
def script():
    """What a script defines, as if it were the driver's ``__main__``."""
    namespace = {"__name__": "__main__"}
    exec(compile(SOURCE, FILE, "exec"), namespace)
    return namespace


def innermost_frame(function, *args):
    with pytest.raises(ZeroDivisionError) as raised:
        function(*args)
    return traceback.extract_tb(raised.tb)[-1]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("plain", "def plain"),
        ("twice", "twice = "),
        ("comprehension", "def comprehension"),
        ("uses_a_generator", "def generator"),
        ("closure", "        return factor / x"),
        ("nested", "    def innermost"),
        ("method", "    def method"),
        ("static", "    def static"),
        ("of_class", "    def of_class"),
        ("reads_property", "    def share"),
        ("decorated", "def plain"),
        ("partial", "def plain"),
        ("with_default", "def with_default"),
    ],
)
def test_error_in_loaded_code_names_file_and_line(script, name, line):
    frame = innermost_frame(sent(script[name]), 0)
    assert frame.filename == FILE
    assert LINES[frame.lineno - 1].startswith(line)


def test_error_in_a_loaded_coroutine_names_file_and_line(script):
    frame = innermost_frame(lambda: asyncio.run(sent(script["coroutine"])(0)))
    assert (frame.filename, frame.lineno) == (FILE, 3)


@pytest.mark.parametrize("dump", [lambda value: serialization.dump(value).body, serialization.dump_in_band])
def test_every_code_object_keeps_its_file(script, dump):
    loaded = [serialization.load(dump(value)) for value in script.values() if isinstance(value, types.FunctionType)]
    codes = [code for function in loaded for code in codes_in(function.__code__)]
    assert len(codes) > len(loaded)
    assert {code.co_filename for code in codes} == {FILE}


def codes_in(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_in(constant)


def test_functions_of_several_files_keep_their_own(script):
    other = {"__name__": "__main__", "plain": script["plain"]}
    exec(compile("def call(x): return plain(x)\ndef fail(x): return 1 / x", "/home/user/other.py", "exec"), other)
    call, fail = sent((other["call"], other["fail"]))
    assert innermost_frame(call, 0).filename == FILE
    assert innermost_frame(fail, 0).filename == "/home/user/other.py"


def test_code_of_a_notebook_cell_keeps_the_name_by_which_linecache_knows_it(script, monkeypatch):
    cell = "<ipython-input-1-3a5f>"
    source = "def plain(x):\n    return 1 / x\n"
    monkeypatch.setitem(linecache.cache, cell, (len(source), None, source.splitlines(keepends=True), cell))
    namespace = {"__name__": "__main__"}
    exec(compile(source, cell, "exec"), namespace)
    assert innermost_frame(sent(namespace["plain"]), 0).line == "return 1 / x"


@pytest.mark.parametrize("file", ["", "<string>", "/a b/\N{SNOWMAN}.py", "/undecodable/\udcff.py"])
def test_any_file_name_arrives(file):
    namespace = {"__name__": "__main__"}
    exec(compile("def plain(x): return 1 / x", "x", "exec"), namespace)
    plain = namespace["plain"]
    plain.__code__ = plain.__code__.replace(co_filename=file)
    assert sent(plain).__code__.co_filename == file


def test_loading_code_needs_no_cnflow(script):
    body = serialization.dump(script["closure"]).body
    loading = (
        "import pickle, sys; f = pickle.loads(sys.stdin.buffer.read())\n"
        "assert 'cnflow' not in sys.modules\n"
        "print(f.__code__.co_filename, f(1))"
    )
    done = subprocess.run([sys.executable, "-c", loading], input=body, capture_output=True, check=True)
    assert done.stdout.decode() == f"{FILE} 2.0\n"


PICKLES_ITS_FUNCTION = """\
import hashlib
from cnflow.wire import serialization
def outer(x):
    return [x / y for y in range(3)], lambda z: (z, __file__)
print(hashlib.sha256(serialization.dump(outer).body).hexdigest())
"""


def test_two_runs_of_a_script_make_the_same_bytes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PICKLES_ITS_FUNCTION)
    digests = {subprocess.check_output([sys.executable, script]) for _ in range(3)}
    assert len(digests) == 1


@pytest.mark.skipif(
    tuple(map(int, cloudpickle.__version__.split(".")[:3])) < (3, 1, 3),
    reason="cloudpickle before 3.1.3 pickles equal code differently by which strings Python shares.",
)
def test_compiled_module_makes_the_same_bytes_as_its_source(tmp_path):
    """Python shares strings otherwise in code that it reads from a .pyc."""
    (tmp_path / "helper.py").write_text(PICKLES_ITS_FUNCTION.replace("print(", "digest = ("))
    load = (
        "import cloudpickle, sys; sys.path.insert(0, sys.argv[1])\n"
        "import helper; cloudpickle.register_pickle_by_value(helper)\n"
        "import hashlib; print(hashlib.sha256(helper.serialization.dump(helper.outer).body).hexdigest())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", load, tmp_path]
    digests = {subprocess.check_output(command, env=environment) for _ in range(2)}
    assert list(tmp_path.glob("__pycache__/helper.*.pyc"))
    assert len(digests) == 1


def test_bytes_stay_the_same_when_a_loaded_function_is_pickled_again(script):
    first = serialization.dump(script["comprehension"]).body
    again = serialization.dump(pickle.loads(first)).body
    assert hashlib.sha256(first).digest() == hashlib.sha256(again).digest()

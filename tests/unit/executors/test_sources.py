import linecache
import sys

import pytest

from cnflow.errors import SerializationError
from cnflow.executors.high_throughput.sources import piece_of
from cnflow.model.source_code import MINOR, code_of


@pytest.fixture
def script(tmp_path):
    """Function that runs a text as a script and returns its names."""

    def run(text, name="script.py"):
        path = tmp_path / name
        path.write_text(text)
        names = {"__name__": "__main__"}
        exec(compile(text, str(path), "exec", dont_inherit=True), names)
        return names

    return run


def compiled_again(function):
    code = function.__code__
    return code_of(tuple(piece_of(code)), code.co_name, code.co_firstlineno)


@pytest.mark.parametrize(
    "text",
    [
        "import math\nclass A: pass\ndef f(x):\n    return x\n",
        "f = lambda x: x\n",
        "f = (\n    # a remark\n    lambda x:\n        x\n)\n",
        (
            "if True:\n    try:\n        def f(x):\n            s = '''\nleft\n'''\n            return x\n"
            "    finally:\n        pass\n"
        ),
        "def make(n):\n    def f(x):\n        return x + n - n\n    return f\nf = make(1)\n",
        "def keep(f): return f\n@keep\n@keep\ndef f(x):\n    return x\n",
        "class A:\n    @staticmethod\n    def f(x):\n        return x\nf = A.f\n",
        "from __future__ import annotations\ndef f(x: Undefined) -> int:\n    return x\n",
        "match 1:\n    case 1:\n        def f(x):\n            return x\n",
        "a = 'left\\x0cright'\n\x0c\ndef f(x):\n    return x, 'z\u2028\x85'\n".replace("\\x0c", "\x0c"),
        "if not __name__:\n    pass\nelif 1: f = lambda x: x\n",
        "if not __name__:\n    pass\nelse: f = lambda x: x\n",
    ],
)
def test_a_function_has_the_source_that_compiles_to_its_code(script, text):
    function = script(text)["f"]
    code = compiled_again(function)
    assert code.co_code == function.__code__.co_code
    assert (code.co_filename, code.co_firstlineno) == (
        function.__code__.co_filename,
        function.__code__.co_firstlineno,
    )


def test_a_piece_is_the_statement_alone(script):
    function = script("password = 'secret'\ndef f():\n    return 1\n")["f"]
    piece = piece_of(function.__code__)
    assert (piece.text, piece.line, piece.python) == ("def f():\n    return 1\n", 2, MINOR)


def test_a_file_that_was_edited_before_the_first_look_is_not_the_source(script, tmp_path):
    function = script("def f():\n    return 1\n")["f"]
    (tmp_path / "script.py").write_text("def f():\n    return 2\n")
    with pytest.raises(SerializationError, match="edited since"):
        piece_of(function.__code__)


def test_a_file_that_is_edited_after_the_first_look_leaves_the_source_as_it_was(script, tmp_path):
    first, second = (script("def f():\n    return 1\ndef g():\n    return 2\n")[name] for name in "fg")
    piece_of(first.__code__)
    (tmp_path / "script.py").write_text("\n\ndef f():\n    return 7\n")
    assert compiled_again(second).co_consts[-1] == 2


def test_lambdas_on_one_line_are_not_told_apart(script):
    with pytest.raises(SerializationError, match="more than one function of that name"):
        piece_of(script("f, g = lambda: 1, lambda: 2\n")["f"].__code__)


def test_code_of_exec_has_no_source():
    names = {}
    exec("def f(): return 1", names)
    # Python 3.13 keeps the text of ``python -c``, as which pytest's workers run, under the same name.
    with pytest.raises(
        SerializationError,
        match=r"f \(<string>, line 1\) has no source that can be sent: (it was made by|its source is)",
    ):
        piece_of(names["f"].__code__)


def test_a_cell_of_a_notebook_is_found_where_it_is_kept():
    text, name = "x = await y\ndef f():\n    return 3\n", "<ipython-input-7-abc>"
    names = {}
    exec(compile("\ndef f():\n    return 3\n", name, "exec", dont_inherit=True), names)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    assert piece_of(names["f"].__code__).text == "def f():\n    return 3\n"


def test_a_level_of_optimization_is_that_of_the_driver(script):
    assert piece_of(script("def f():\n    assert 0\n")["f"].__code__).optimize == sys.flags.optimize

import subprocess
import sys
from textwrap import dedent

import pytest


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "scripts" / "script.py"
        path.parent.mkdir()
        path.write_text(dedent(text))
        (path.parent / "beside.py").write_text("name = 'beside'\n")
        return path

    return write


def run_both_ways(script, *args):
    """Run *script* with `python` and with `cnflow run`, from its parent folder."""
    ways = [sys.executable], [sys.executable, "-m", "cnflow.cli", "run", "--quiet"]
    folder = script.parents[1]
    command = ["scripts/script.py", *args]
    return [
        subprocess.run([*way, *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        for way in ways
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import sys; print(__name__, __file__, sys.argv)", 0),
        ("import sys, os; print(sys.path[0] == os.path.dirname(__file__)); import beside; print(beside.name)", 0),
        ("import sys; print(sys.modules['__main__'].__dict__ is globals())", 0),
        ("import pickle\nclass C: pass\nprint(type(pickle.loads(pickle.dumps(C()))) is C, C.__module__)", 0),
        ("import atexit, sys\natexit.register(lambda: print(sys.modules['__main__'].word))\nword = 'still here'", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit('in words')", 1),
        ("def f():\n    raise KeyError('no such row')\nf()", 1),
        ("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('no') from e", 1),
        ("raise type('Own', (BaseException,), {})('whatever it is')", 1),
        ("import sys\nsys.excepthook = lambda kind, error, tb: print('mine:', error)\nraise ValueError('no')", 1),
        ("print('never')\nx = = 3", 1),
        ("# -*- coding: latin-1 -*-\nprint('plain')", 0),
    ],
)
def test_script_behaves_as_under_python(script, text, code):
    under_python, under_cnflow = run_both_ways(script(text), "--own", "-x", "--quiet", "--help")
    assert under_python.returncode == code
    assert under_cnflow.returncode == code
    assert under_cnflow.stdout == under_python.stdout
    assert under_cnflow.stderr == under_python.stderr


def test_interrupted_script_has_the_exit_code_of_a_shell(script):
    _, under_cnflow = run_both_ways(script("raise KeyboardInterrupt"))
    assert under_cnflow.returncode == 130
    assert "cnflow/cli" not in under_cnflow.stderr


def test_function_of_the_script_is_pickled_by_value(script):
    path = script(
        """
        import cloudpickle, subprocess, sys

        def double(number):
            return factor * number

        factor = 2
        read = "import pickle, sys; print(pickle.load(sys.stdin.buffer)(21))"
        subprocess.run([sys.executable, "-c", read], input=cloudpickle.dumps(double), check=True)
        """,
    )
    for done in run_both_ways(path):
        assert done.stdout == "42\n", done.stderr

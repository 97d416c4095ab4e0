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


def run_both_ways(script, *args, command=("scripts/script.py",)):
    """Run *script* with `python` and with `cnflow run`, from its parent folder."""
    ways = [sys.executable], [sys.executable, "-m", "cnflow.cli", "run", "--quiet"]
    folder = script.parents[1]
    command = [*command, *args]
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


@pytest.fixture
def package(script):
    """A package beside which the command is run."""
    path = script("")
    folder = path.parents[1] / "sweeps"
    folder.mkdir()
    (folder / "__init__.py").write_text("import sys; print('package', sys.argv, __name__)\n")
    (folder / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (folder / "__main__.py").write_text("print(__name__, __package__, __spec__.name)\n")
    return path


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import sys; print(__name__, __package__, __file__, sys.argv)", 0),
        ("print(__spec__.name, __spec__.origin, __loader__.name, __cached__ == __spec__.cached)", 0),
        ("import os, sys; print(sys.path[0] == os.getcwd())", 0),
        ("from .helper import double; print(double(21))", 0),
        ("import sys; print(sys.modules['__main__'].__dict__ is globals(), 'sweeps.one' in sys.modules)", 0),
        ("import sys; sys.exit(7)", 7),
        ("def f():\n    raise KeyError('no such row')\nf()", 1),
    ],
)
def test_module_behaves_as_under_python(package, text, code):
    (package.parents[1] / "sweeps" / "one.py").write_text(text)
    under_python, under_cnflow = run_both_ways(package, "--own", "-x", "--", "-q", command=("-m", "sweeps.one"))
    assert under_python.returncode == code
    assert under_cnflow.returncode == code
    assert under_cnflow.stdout == under_python.stdout
    assert under_cnflow.stderr.splitlines()[-1:] == under_python.stderr.splitlines()[-1:]
    assert "cnflow/cli" not in under_cnflow.stderr


def test_package_runs_its_main_module(package):
    under_python, under_cnflow = run_both_ways(package, command=("-m", "sweeps"))
    assert under_cnflow.stdout == under_python.stdout
    assert "__main__ sweeps sweeps.__main__" in under_cnflow.stdout


def test_name_of_the_module_may_follow_its_option_at_once(package):
    _, under_cnflow = run_both_ways(package, "-q", command=("-msweeps",))
    assert under_cnflow.stdout.startswith("package ['-m', '-q']")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["scripts/nowhere.py"], "The script 'scripts/nowhere.py' does not exist."),
        (["scripts"], "The script 'scripts' is a folder; name a script in it."),
        (["-m"], "Option '-m' requires an argument."),
        (["-m", "nowhere"], "No module is called 'nowhere'."),
        (["-m", "nowhere.deeper"], "No module is called 'nowhere.deeper'"),
        (["-m", "scripts/script.py"], "is the name of a file: write -m MODULE without '.py', or leave out -m."),
        (["-m", "scripts"], "'scripts' is a package without a module __main__."),
        ([], "name a script, or a module after -m"),
    ],
)
def test_program_that_is_not_there_is_a_usage_error(script, args, message):
    command = [sys.executable, "-m", "cnflow.cli", "run", *args]
    folder = script("").parents[1]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


CONFIG = "[[executors]]\nkind = 'threads'\nlabel = 'named'\n"


def run_with_config(script, text, *options):
    path = script(text)
    (path.parent / "c.toml").write_text(CONFIG)
    command = [
        sys.executable,
        "-m",
        "cnflow.cli",
        "run",
        "-q",
        "--config",
        "scripts/c.toml",
        *options,
        "scripts/script.py",
    ]
    return subprocess.run(command, cwd=path.parents[1], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "text",
    [
        "import cnflow\nwith cnflow.load() as dfk:\n    print(*dfk.executors)\n",
        "import cnflow\nwith cnflow.PoolExecutor() as pool:\n    print(*pool.dfk.executors)\n",
        "import cnflow\n@cnflow.python_app(executors='named')\ndef f():\n    return 'named'\nprint(f().result())\n",
        "import cnflow\nprint(*cnflow.dfk().executors)\n",
    ],
    ids=["load", "pool", "no load", "dfk"],
)
def test_configuration_of_the_command_line_is_used_where_the_script_has_none(script, text):
    done = run_with_config(script, text)
    assert (done.returncode, done.stdout) == (0, "named\n"), done.stderr


def test_parsl_script_uses_the_configuration_of_the_command_line(script):
    done = run_with_config(script, "import parsl\nwith parsl.load() as dfk:\n    print(*dfk.executors)\n", "--parsl")
    assert (done.returncode, done.stdout) == (0, "named\n"), done.stderr


@pytest.mark.parametrize("call", ["load(cnflow.Config())", "load('scripts/c.toml')", "PoolExecutor(cnflow.Config())"])
def test_two_configurations_are_refused(script, call):
    done = run_with_config(script, f"import cnflow\ncnflow.{call}")
    name = call.partition("(")[0]
    assert done.returncode == 1
    assert done.stderr.endswith(
        "ConfigurationError: 'cnflow run --config scripts/c.toml' selects the configuration, and the script passes one "
        f"to cnflow.{name}(), too. Call cnflow.{name}() without it, or leave out --config.\n"
    )


def test_run_of_the_script_itself_is_not_followed_by_another(script):
    text = """
        import cnflow

        @cnflow.python_app
        def f():
            return 1

        with cnflow.load():
            f().result()
        try:
            f()
        except cnflow.errors.NoDataFlowKernelError:
            print("none is loaded")
    """
    done = run_with_config(script, text)
    assert (done.returncode, done.stdout) == (0, "none is loaded\n"), done.stderr


def test_wrong_configuration_ends_the_command_before_the_script(script):
    path = script("print('never')")
    for file, message in (("nowhere.toml", "No such file or directory"), ("c.toml", "Did you mean 'executors'?")):
        (path.parent / "c.toml").write_text("[[executor]]")
        command = [sys.executable, "-m", "cnflow.cli", "run", "--config", f"scripts/{file}", "scripts/script.py"]
        done = subprocess.run(command, cwd=path.parents[1], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr

"""Tasks in worker processes find the script: its command line in `sys.argv`, its functions in ``__main__``."""

import subprocess
import sys

SCRIPT = """
import sys
import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.executors import HighThroughputExecutor


def cube(x):
    return x**3


class Adder:
    def __init__(self, number):
        self.number = number

    def __call__(self, x):
        return x + self.number


@python_app
def fast():
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true")
    return parser.parse_args().fast, sys.argv


@python_app
def in_a_pool():
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as workers:
        return workers.map(cube, range(3)), workers.map(Adder(1), range(3))


@bash_app
def command():
    return "test -z \\"$CNFLOW_SCRIPT_ARGV\\""


if __name__ == "__main__":
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)])):
        print(fast().result(30), in_a_pool().result(30), command().result(30))
"""


def test_tasks_see_the_command_line_and_the_functions_of_the_script(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", "--fast"]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "(True, ['script.py', '--fast']) ([0, 1, 8], [1, 2, 3]) 0\n", done.stderr

"""Which command lines are started without a shell, and that nobody can tell."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from cnflow.errors import BashExitFailure
from cnflow.tasks import shell
from cnflow.tasks.call import BASH, Call, CallContext
from cnflow.tasks.shell import program_in

PATH = {"PATH": os.environ["PATH"]}


class Control:
    def hold(self):
        pass

    def wait(self, process):
        return process.wait()


def run(command, **options):
    options = SimpleNamespace(
        **{"stdout": None, "stderr": None, "inputs": (), "outputs": (), "sandbox": False, "env": {}, **options}
    )
    return shell.run_command(Call(BASH, "app", lambda: command, (), {}, options), CallContext(Control()))


@pytest.mark.parametrize(
    "command",
    ["true", "ls", "ls -l --color=never /tmp", "/bin/ls", "env A=1 ls", "sort -t, -k1 a_file.txt", "  sleep 0  "],
)
def test_plain_words_need_no_shell(command):
    program = program_in(command, PATH, None)
    assert program is not None
    assert program.words == command.split()
    assert os.access(program.path, os.X_OK)


@pytest.mark.parametrize(
    "command",
    [
        *(
            "",
            " ",
            "ls | sort",
            "ls; ls",
            "ls && ls",
            "ls > x",
            "ls *",
            "ls $HOME",
            "ls ~",
            "ls 'a b'",
            'ls "a"',
            "ls\nls",
        ),
        *("ls \\x", "(ls)", "! ls", "ls #x", "ls [ab]", "ls {a,b}", "ls &", "ls `ls`", "ls\tx", "ls é"),
        *("cd /", "exit 3", "echo x", "printf x", "test -e x", "time ls", "export A", "source x", ". x", ": x"),
        *("A=1 ls", "true x", "-x", "%1", "no-such-program-anywhere x", "./not-there"),
    ],
)
def test_anything_else_goes_to_the_shell(command):
    assert program_in(command, PATH, None) is None


@pytest.mark.parametrize("variable", [{"BASH_ENV": "/x"}, {"BASH_FUNC_ls%%": "() { echo; }"}])
def test_a_shell_that_has_something_to_read_first_is_started(variable):
    assert program_in("ls", {**PATH, **variable}, None) is None


def test_a_relative_path_starts_in_the_folder_it_is_run_in(tmp_path):
    script = tmp_path / "tool"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    program = program_in("./tool x", PATH, str(tmp_path))
    assert program is not None
    assert program.environment["PWD"] == str(tmp_path)
    assert program_in("./tool x", PATH, None) is None


@pytest.mark.parametrize("command", ["env", "false", "no-such-program-anywhere 1", "./script", "ls /not/there"])
def test_output_and_exit_code_are_those_of_the_shell(command, tmp_path, monkeypatch):
    """Also of a script that names no interpreter, which only a shell can start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", "/stale")
    script = tmp_path / "script"
    script.write_text("echo from $0; exit 4\n")
    script.chmod(0o755)
    environment = dict(os.environ)  # readline, which pytest loads, puts more into that of C
    expected = subprocess.run(
        command, shell=True, executable=shell._shell(), capture_output=True, text=True, check=False, env=environment
    )

    def said(text):  # bash sets two variables more, which say that there is a bash
        return sorted(line for line in text.splitlines() if not line.startswith(("SHLVL=", "_=", "OLDPWD=")))

    try:
        code = run(command, stdout=str(tmp_path / "out"), stderr=str(tmp_path / "err"))
    except BashExitFailure as error:
        code = error.exitcode
    assert code == expected.returncode
    assert said((tmp_path / "out").read_text()) == said(expected.stdout)
    assert said((tmp_path / "err").read_text()) == said(expected.stderr)

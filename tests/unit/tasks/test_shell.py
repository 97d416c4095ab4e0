import os
import subprocess
from types import SimpleNamespace

import pytest

from cnflow.errors import BashExitFailure
from cnflow.tasks import shell
from cnflow.tasks.call import BASH, Call, CallContext
from cnflow.tasks.shell import find_program

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
def test_a_command_of_plain_words_needs_no_shell(command):
    program = find_program(command, PATH, None)
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
def test_any_other_command_needs_a_shell(command):
    assert find_program(command, PATH, None) is None


@pytest.mark.parametrize("variable", [{"BASH_ENV": "/x"}, {"BASH_FUNC_ls%%": "() { echo; }"}])
def test_a_command_needs_a_shell_that_reads_a_file_or_a_function_first(variable):
    assert find_program("ls", {**PATH, **variable}, None) is None


def test_a_relative_program_is_found_from_the_folder_of_the_command(tmp_path):
    script = tmp_path / "tool"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    program = find_program("./tool x", PATH, str(tmp_path))
    assert program is not None
    assert program.environment["PWD"] == str(tmp_path)
    assert find_program("./tool x", PATH, None) is None


@pytest.mark.parametrize("command", ["env", "false", "no-such-program-anywhere 1", "./script", "ls /not/there"])
def test_a_direct_command_has_the_output_and_exit_code_of_a_shell(command, tmp_path, monkeypatch):
    """A script without a line for its interpreter, which only a shell can start, is among them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", "/stale")
    script = tmp_path / "script"
    script.write_text("echo from $0; exit 4\n")
    script.chmod(0o755)
    environment = dict(os.environ)  # readline, which pytest loads, puts more into that of C
    expected = subprocess.run(
        command, shell=True, executable=shell._shell(), capture_output=True, text=True, check=False, env=environment
    )

    def lines(text):  # bash sets these variables
        return sorted(line for line in text.splitlines() if not line.startswith(("SHLVL=", "_=", "OLDPWD=")))

    try:
        code = run(command, stdout=str(tmp_path / "out"), stderr=str(tmp_path / "err"))
    except BashExitFailure as error:
        code = error.exitcode
    assert code == expected.returncode
    assert lines((tmp_path / "out").read_text()) == lines(expected.stdout)
    assert lines((tmp_path / "err").read_text()) == lines(expected.stderr)

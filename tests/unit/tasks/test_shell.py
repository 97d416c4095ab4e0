import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnflow.errors import BashAppNoReturn, BashExitFailure, ConfigurationError, MissingShellError
from cnflow.model.task import RunOptions
from cnflow.tasks import shell, shell_process
from cnflow.tasks.call import BASH, Call, CallContext
from cnflow.tasks.shell import find_program

PATH = {"PATH": os.environ["PATH"]}


class Control:
    def hold(self):
        pass

    def wait(self, process):
        return process.wait()


def run(command, **options):
    call = Call(BASH, "app", lambda: command, (), {}, RunOptions(**options))
    return shell.run_command(call, CallContext(Control()))


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
        command,
        shell=True,
        executable=shell_process.shell(),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
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


SHELLS = [path for path in (shutil.which("bash"), "/bin/sh") if path]


@pytest.fixture(params=SHELLS)
def chosen_shell(request, monkeypatch):
    monkeypatch.setattr(shell_process, "shell", lambda: request.param)
    return request.param


def words_of(size):
    """Line of words that is longer than *size* bytes."""
    return " ".join(f"/some/folder/file-{number:06}" for number in range(size // 20))


@pytest.mark.parametrize("size", [1, 120_000, 140_000, 1_500_000], ids=str)
@pytest.mark.usefixtures("chosen_shell")
def test_a_command_of_any_length_is_run(size, tmp_path):
    words = words_of(size)
    out, err = tmp_path / "out", tmp_path / "err"
    command = f"set -- {words}\necho $#; cat; echo é >&2; exit 7"
    with pytest.raises(BashExitFailure, match="code 7") as failure:
        run(command, stdout=str(out), stderr=str(err))
    assert out.read_text() == f"{len(words.split())}\n"
    assert err.read_text() == "é\n"
    assert failure.value.command == command
    assert len(str(failure.value)) < 10_000


def test_a_long_command_has_the_name_and_the_streams_of_a_short_one(chosen_shell, tmp_path):
    out = tmp_path / "out"
    for words in ("x", words_of(200_000)):
        run(f": {words}; echo $0 $#; ls -l /dev/fd/ | grep -c cnflow-command || :", stdout=(str(out), "w"))
        assert out.read_text() == f"{chosen_shell} 0\n0\n"


def test_a_long_command_of_plain_words_starts_without_a_shell(tmp_path):
    words = words_of(200_000)
    run(f"/bin/echo {words}", stdout=str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == f"{words}\n"


@pytest.mark.parametrize(
    "variables",
    [{"BIG": "x" * 200_000}, {f"N{number}": "x" * 100_000 for number in range(30)}],
    ids=["one variable", "many variables"],
)
def test_an_environment_that_the_system_does_not_pass_is_named(variables):
    with pytest.raises(ConfigurationError, match=r"bash_app app .*bytes, of which variable '(BIG|N\d+)' has"):
        run("echo; echo", env=variables)


@pytest.mark.parametrize(
    ("command", "wrong"), [("echo a\0b", "'\\x00' at position 6"), ("\ud800", "'\\ud800' at position 0")]
)
def test_a_command_that_no_program_can_be_given_is_refused(command, wrong):
    with pytest.raises(BashAppNoReturn) as refusal:
        run(command)
    assert wrong in str(refusal.value)


def test_a_pipeline_fails_by_each_of_its_commands_if_asked_to():
    assert run("false | cat") == 0
    if Path(shell_process.shell()).name == "bash":
        with pytest.raises(BashExitFailure, match="code 1"):
            run("false | cat", pipefail=True)
        assert run("true | cat", pipefail=True) == 0


class Broken:
    def write(self, text):
        raise OSError("broken")


def closed_stream():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, Broken(), closed_stream()], ids=["none", "broken", "closed"])
def test_a_command_runs_where_stderr_cannot_be_written(stream, monkeypatch):
    first = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "__stderr__", first)
    assert run("echo grüße >&2; true") == 0
    with pytest.raises(BashExitFailure, match="reason"):
        run("echo reason >&2; exit 3")
    assert first.getvalue() == "grüße\nreason\n"
    monkeypatch.setattr(sys, "__stderr__", None)
    assert run("echo grüße >&2; true") == 0


def test_output_that_stderr_cannot_encode_is_escaped(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    run("echo grüße >&2; true")
    assert raw.getvalue() == b"gr\\xfc\\xdfe\n"


def test_a_process_without_streams_runs_commands_and_tasks_with_files(tmp_path):
    """As a service, or `2>&-`: descriptors 0 to 2 are free, and the next files that are opened get them."""
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys
from types import SimpleNamespace
from cnflow.model.task import RunOptions
from cnflow.tasks import call, environment
from cnflow.tasks.thread_output import redirect

report = open({str(tmp_path / "report")!r}, "w")
assert sys.stdout is None and sys.stderr is None

class Control:
    hold = release = lambda self: None
    wait = lambda self, process: process.wait()

def run(kind, function, **options):
    return call.Call(kind, "app", function, (), {{}}, RunOptions(**options))

out = {str(tmp_path / "out")!r}
call.run_call(run(call.BASH, lambda: "echo lost; echo lost >&2"), call.CallContext(Control()))
call.run_call(run(call.BASH, lambda: "echo kept", stdout=out), call.CallContext(Control()))
environment.call_with_options(run(call.PYTHON, lambda: print("printed"), stdout=out), Control(), "")
with open(out, "a") as file, redirect("stdout", file.fileno()):
    print("redirected")
    import threading
    other = threading.Thread(target=print, args=("of another thread",))
    other.start()
    other.join()
assert sys.stdout is None
print("done", file=report)
""")
    command = f"{sys.executable} {script} <&- >&- 2>&-"
    code = subprocess.run(["/bin/sh", "-c", command], check=False, cwd=Path.cwd()).returncode
    report = tmp_path / "report"
    assert (code, report.read_text()) == (0, "done\n")
    assert (tmp_path / "out").read_text().splitlines() == ["kept", "printed", "redirected"]


@pytest.mark.parametrize("state", ["absent", "not executable", "no program"])
def test_shell_that_cannot_be_started_is_named(state, tmp_path, monkeypatch):
    shell = tmp_path / "sh"
    if state != "absent":
        shell.write_text("\0not a program")
        shell.chmod(0o755 if state == "no program" else 0o644)
    monkeypatch.setattr(shell_process, "shell", lambda: str(shell))
    for command in ("true && true", "x" * 200_000):
        with pytest.raises(MissingShellError, match="needs a shell") as caught:
            run(command)
        assert str(shell) in str(caught.value)
    assert run("ls", stdout=os.devnull) == 0, "a plain command needs none"


def test_folder_that_is_gone_is_not_taken_for_a_missing_shell(tmp_path):
    with pytest.raises(FileNotFoundError):
        shell_process.start_in_shell("app", "true && true", PATH, pipefail=False, cwd=str(tmp_path / "gone"))

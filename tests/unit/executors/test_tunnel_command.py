import os
import signal
import subprocess
import sys

import pytest

from cnflow.clock import SystemClock
from cnflow.config import Tunnel
from cnflow.errors import ConfigurationError
from cnflow.executors.high_throughput import tunnel_command
from cnflow.executors.high_throughput.tunnel_command import Pauses, TunnelCommand, keep_tunnel


@pytest.fixture
def log(tmp_path):
    return tmp_path / "tunnel.log"


@pytest.fixture
def run(log):
    """Function that starts a command; it is closed at the end."""
    made = []

    def start(*argv):
        command = TunnelCommand("htex", argv, log, SystemClock())
        made.append(command)
        command.start()
        return command

    yield start
    for command in made:
        command.close()


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_in(log, until):
    until(lambda: log.exists() and log.read_text().endswith("\n"))
    return int(log.read_text().split()[-1])


def test_pauses_grow_and_begin_anew_after_a_program_that_worked():
    pauses = Pauses()
    assert [pauses.next(1.0) for _ in range(6)] == [0.5, 1.0, 2.0, 5.0, 15.0, 15.0]
    assert [pauses.next(61.0), pauses.next(1.0)] == [0.5, 1.0]
    assert pauses.ends == 8


def test_program_runs_until_it_is_closed(run, log, until):
    command = run("sh", "-c", "echo $$; exec sleep 600")
    pid = pid_in(log, until)
    assert is_running(pid)
    assert command.how == ""
    command.close()
    assert not is_running(pid)


@pytest.mark.parametrize("script", ["sleep 600 & echo $!; wait", "trap '' TERM; sleep 600 & echo $!; wait"])
def test_children_of_the_program_end_with_it(run, log, until, monkeypatch, script):
    monkeypatch.setattr(tunnel_command, "_WITH_DRIVER", tunnel_command._WITH_DRIVER.replace("sleep 5", "sleep 0.3"))
    command = run("sh", "-c", script)
    pid = pid_in(log, until)
    command.close()
    until(lambda: not is_running(pid))


def test_program_that_ends_is_started_again_and_its_words_are_logged(run, log, until, caplog):
    command = run("sh", "-c", "echo no route to gateway; exit 3")
    until(lambda: log.exists() and log.read_text().count("no route") == 2)
    assert command.how == "exited with code 3"
    assert "the tunnel of executor htex exited with code 3; again in 0.5 s" in caplog.text
    assert "    no route to gateway" in caplog.text


def test_program_that_is_killed_is_named_by_its_signal(run, log, until, caplog):
    run("sh", "-c", "echo $$; exec sleep 600")
    os.kill(pid_in(log, until), signal.SIGKILL)
    until(lambda: "was killed by signal 9 (SIGKILL)" in caplog.text)


def test_program_that_is_not_installed_is_named(tmp_path):
    way = Tunnel(address="127.0.0.1:5", command=["nosuchssh", "-N"])
    with pytest.raises(ConfigurationError, match="'nosuchssh', the first word of Tunnel"):
        keep_tunnel("htex", way, 5, tmp_path)


def test_port_is_written_into_the_command(tmp_path, until):
    way = Tunnel(address="127.0.0.1:{port}", command=["sh", "-c", "echo $0; exec sleep 600", "x{port}y{port}"])
    command = keep_tunnel("htex", way, 517, tmp_path)
    until(lambda: (tmp_path / "tunnel.log").exists() and "x517y517" in (tmp_path / "tunnel.log").read_text())
    command.close()


def test_program_ends_with_a_driver_that_is_killed(tmp_path, log, until):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom cnflow.clock import SystemClock\n"
        "from cnflow.executors.high_throughput.tunnel_command import TunnelCommand\n"
        "argv = ['sh', '-c', 'echo $$; exec sleep 600']\n"
        "TunnelCommand('htex', argv, Path(sys.argv[1]), SystemClock()).start()\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(log)]) as driver:
        pid = pid_in(log, until)
        driver.kill()
    until(lambda: not is_running(pid))

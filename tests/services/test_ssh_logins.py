"""Logins that ask: a real sshd with PAM, whose module asks for a password and a token."""

import contextlib
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from cnflow.channels import OAuthSSHChannel, SSHChannel, SSHInteractiveLoginChannel
from cnflow.config.registry import backend_of
from cnflow.errors import ChannelError
from tests.services.sshd_server import KEYBOARD_INTERACTIVE, Sshd

pytestmark = [pytest.mark.sshd, pytest.mark.root, pytest.mark.cc, pytest.mark.timeout(180)]

PASSWORD, TOKEN = "correct horse", "314159"


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    """The module of PAM."""
    made = tmp_path_factory.mktemp("pam") / "pam_questions.so"
    source = Path(__file__).parents[1] / "data/pam_questions.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", made, source], check=True)
    return made


@pytest.fixture
def asking(questions, tmp_path):
    """Starts an sshd that asks: ``asking("Password:=x", ...)``; a copy, whose name is that of its PAM configuration."""
    servers, files = [], []

    def start(*arguments):
        name = f"cnflow-{uuid.uuid4().hex[:8]}"
        program = tmp_path / name
        shutil.copy(shutil.which("sshd", path="/usr/sbin:/sbin") or "sshd", program)
        words = " ".join(f"[{word}]" for word in arguments)
        files.append(Path("/etc/pam.d", name))
        files[-1].write_text(
            f"auth required {questions} {words}\naccount required pam_permit.so\nsession required pam_permit.so\n"
        )
        servers.append(Sshd(tmp_path / f"{name}.d", settings=KEYBOARD_INTERACTIVE, program=str(program)))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    for file in files:
        file.unlink()


@pytest.fixture
def two_factors(asking):
    return asking("text=Have your phone ready.", f"Password:={PASSWORD}", f"Token:={TOKEN}")


@pytest.fixture
def channel_to():
    made = []

    def make(settings):
        made.append(backend_of(settings)(settings))
        return made[-1]

    yield make
    for channel in made:
        channel.close()


class User:
    """Answers questions, and remembers them."""

    def __init__(self, *, password=PASSWORD, token=TOKEN):
        self.questions = []
        self._answers = {"Password:": password, "Token:": token}

    def __call__(self, question):
        self.questions.append(question)
        return next(answer for sign, answer in self._answers.items() if sign in question)


def test_user_is_asked_for_each_factor_once_for_all_commands_and_channels(two_factors, channel_to):
    user = User()
    settings = two_factors.settings(SSHInteractiveLoginChannel, prompt=user)
    channels = [channel_to(settings), channel_to(settings)]
    channels[0].open()
    assert [channel.run(["echo", str(n)]).stdout for n, channel in enumerate(channels * 2)] == [
        "0\n",
        "1\n",
        "2\n",
        "3\n",
    ]
    assert [re.sub(r"\(.*?\) ", "", question).split("\n")[-1] for question in user.questions] == [
        "Password: ",
        "Token: ",
    ]
    assert "Have your phone ready." in user.questions[0]
    assert two_factors.logins() == 1


def test_wrong_answers_are_an_error_and_are_not_tried_again_at_once(two_factors, channel_to):
    user = User(token="0")
    channel = channel_to(two_factors.settings(SSHInteractiveLoginChannel, prompt=user))
    for _ in range(2):
        with pytest.raises(ChannelError, match=r"has refused the login\. Check the answers, and user="):
            channel.run(["true"])
    assert len(user.questions) == 6, "three tries of ssh"


def test_user_is_not_asked_again_when_the_connection_is_lost_and_can_log_in_by_hand(two_factors, channel_to, tmp_path):
    user = User()
    channel = channel_to(two_factors.settings(SSHInteractiveLoginChannel, prompt=user))
    channel.open()
    two_factors.cut()
    with pytest.raises(ChannelError, match="cnflow does not ask twice") as error:
        channel.run(["true"])
    assert len(user.questions) == 2
    (by_hand,) = re.findall(r"Log in again by: (.*)", str(error.value))
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\ncase $1 in *Token*) echo {TOKEN};; *) echo '{PASSWORD}';; esac\n")
    askpass.chmod(0o755)
    variables = {**os.environ, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(shlex.split(by_hand), env=variables, check=True, **quiet)
    assert channel.run(["echo", "back"]).stdout == "back\n"


def test_function_that_needs_no_user_answers_again_when_the_connection_is_lost(two_factors, channel_to):
    user = User()
    channel = channel_to(two_factors.settings(SSHInteractiveLoginChannel, prompt=user, asks_again=True))
    channel.open()
    two_factors.cut()
    assert channel.run(["echo", "back"]).stdout == "back\n"
    assert len(user.questions) == 4


def test_unknown_host_key_is_asked_for_too(two_factors, channel_to):
    (two_factors.folder / "known").write_text("")
    user = User()
    user._answers["(yes/no"] = "yes"
    channel_to(two_factors.settings(SSHInteractiveLoginChannel, prompt=user)).open()
    assert "SHA256:" in user.questions[0]
    assert (two_factors.folder / "known").read_text()


def test_channel_that_asks_nobody_names_the_one_that_does(two_factors, channel_to):
    with pytest.raises(ChannelError, match="use SSHInteractiveLoginChannel"):
        channel_to(two_factors.settings(SSHChannel)).open()


SCRIPT = """
from cnflow.channels import SSHInteractiveLoginChannel
from cnflow.channels.ssh import interactive_backend
channel = interactive_backend(SSHInteractiveLoginChannel(**{options!r}))
print("result", channel.run(["echo", "hi"]).stdout, flush=True)
channel.close()
"""


def script_for(server):
    options = server.settings(SSHInteractiveLoginChannel).model_dump(exclude={"kind", "prompt"})
    return [sys.executable, "-c", SCRIPT.format(options=options)]


def on_terminal(argv, answers):
    """Run *argv* on a terminal, type each answer when its question is there, and return what was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    shown, deadline = "", time.monotonic() + 90
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        part = b""
        with contextlib.suppress(OSError):  # the last process has closed the terminal
            part = os.read(terminal, 65536)
        if not part:
            break
        shown += part.decode()
        for question in [question for question in answers if question in shown]:
            os.write(terminal, f"{answers.pop(question)}\n".encode())
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown


def test_user_is_asked_on_the_terminal_and_answers_are_not_shown(two_factors):
    shown = on_terminal(script_for(two_factors), {"Password:": PASSWORD, "Token:": TOKEN})
    assert "result hi" in shown
    assert "Have your phone ready." in shown
    assert PASSWORD not in shown
    assert TOKEN not in shown


def test_script_without_a_terminal_is_told_to_give_a_function(two_factors):
    done = subprocess.run(
        script_for(two_factors),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert "there is no terminal to ask the user on" in done.stderr
    assert "prompt=" in done.stderr


def test_token_is_fetched_for_each_login_and_is_in_no_command_line_or_variable(asking, channel_to, tmp_path):
    server = asking(f"Access token:={TOKEN}")
    spy = tmp_path / "ssh"
    spy.write_text(f'#!/bin/sh\nenv >> {tmp_path}/seen; echo "$*" >> {tmp_path}/seen; exec ssh "$@"\n')
    spy.chmod(0o755)
    fetch = tmp_path / "fetch"
    fetch.write_text(f"#!/bin/sh\necho fetched >> {tmp_path}/fetched\necho {TOKEN}\n")
    fetch.chmod(0o755)
    channel = channel_to(server.settings(OAuthSSHChannel, token_command=[str(fetch)], program=str(spy)))
    channel.open()
    server.cut()
    with contextlib.suppress(ChannelError):  # the end of the connection may come while the command is sent
        channel.run(["true"])
    assert channel.run(["echo", "back"]).stdout == "back\n"
    assert (tmp_path / "fetched").read_text() == "fetched\n" * 2
    assert TOKEN not in (tmp_path / "seen").read_text()
    assert TOKEN not in repr(channel._settings)
    folder = Path(channel._shared.connection.socket).parent
    assert not any(TOKEN in path.read_text() for path in folder.iterdir() if path.is_file())


def test_token_that_is_refused_or_cannot_be_fetched_is_explained(asking, channel_to, tmp_path):
    server = asking(f"Access token:={TOKEN}")
    with pytest.raises(ChannelError, match="has refused the login"):
        channel_to(server.settings(OAuthSSHChannel, token=lambda: "old")).open()
    with pytest.raises(ChannelError, match=r"sh gave no token \(exit code 3\): log in first"):
        channel_to(server.settings(OAuthSSHChannel, token_command=["sh", "-c", "echo log in first >&2; exit 3"])).open()
    with pytest.raises(ChannelError, match="cannot be started"):
        channel_to(server.settings(OAuthSSHChannel, token_command=["/no/program"])).open()

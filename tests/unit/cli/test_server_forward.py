"""Words of ssh that bring a server to this machine, and what it answers."""

import pytest

from cnflow.cli.server_forward import Login, forward_command, parse_status, status_command
from cnflow.config.existing_pool import parse_address
from cnflow.errors import ConfigurationError

LOGIN = Login(parse_address("ssh://ann@login1:2222/home/ann/my shop"), "~/venv/bin/cnflow", ["-J", "gateway"])


def test_status_is_asked_in_the_folder_of_the_server():
    *ssh, place, command = status_command(LOGIN)
    assert ssh[:4] == ["ssh", "-T", "-o", "ServerAliveInterval=15"]
    assert ssh[4:] == ["-J", "gateway", "-p", "2222"]
    assert (place, command) == ("ann@login1", "cd '/home/ann/my shop' && ~/venv/bin/cnflow serve status --json")


def test_port_is_forwarded_on_the_loopback_alone():
    assert forward_command(LOGIN, 8000, "10.0.0.1", 9000)[-4:] == [
        "-N",
        "-L",
        "127.0.0.1:8000:10.0.0.1:9000",
        "ann@login1",
    ]


def test_words_of_a_profile_before_the_status_are_left_out():
    assert parse_status('Welcome to login1.\n{"url": "http://127.0.0.1:1"}\n', "login1") == {
        "url": "http://127.0.0.1:1"
    }


@pytest.mark.parametrize("output", ["", "Welcome.\n", "{broken"])
def test_answer_that_is_no_status_is_quoted(output):
    with pytest.raises(ConfigurationError, match="login1 does not answer with the state"):
        parse_status(output, "login1")

"""Words of ssh that bring a server to this machine, and what it answers."""

import pytest

from cnflow.cli.server_forward import Login, forward_command, parse_status, run, status_command
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


def test_address_of_ipv6_is_in_brackets():
    assert forward_command(LOGIN, 8000, "::1", 9000)[-2] == "127.0.0.1:8000:[::1]:9000"


@pytest.mark.parametrize(
    ("address", "options", "words"),
    [
        ("login1", "", "'login1' is no login: write ssh://"),
        ("ssh://login1:x/srv", "", "is no login: write ssh://"),
        ("tcp://login1:9000", "", "is no login: write ssh://"),
        ("ssh://login1/srv", "-J 'gateway", "--ssh-options .* cannot be read: No closing quotation"),
    ],
)
def test_arguments_that_are_wrong_are_refused_in_words(address, options, words):
    with pytest.raises(ConfigurationError, match=words):
        run(address, 0, "cnflow", options)


def test_words_of_a_profile_before_the_status_are_left_out():
    assert parse_status('Welcome to login1.\n{"url": "http://127.0.0.1:1"}\n', "login1") == {
        "url": "http://127.0.0.1:1"
    }


@pytest.mark.parametrize("output", ["", "Welcome.\n", "{broken"])
def test_answer_that_is_no_status_is_quoted(output):
    with pytest.raises(ConfigurationError, match="login1 does not answer with the state"):
        parse_status(output, "login1")

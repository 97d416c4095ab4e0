"""Argument vectors of ssh, and what its words mean."""

import pytest

from cnflow.channels import OAuthSSHChannel, SSHChannel, SSHInteractiveLoginChannel
from cnflow.channels.ssh_command import by_hand, check_command, connect_command, session_command
from cnflow.channels.ssh_failures import is_unsent, login_failure, lost_login
from cnflow.errors import ConfigurationError

PLAIN = SSHChannel(host="login.site.org")
FULL = SSHChannel(host="login", user="ada", port=2222, key_file="/k", jump="gate", options=["-o", "A=b"])


def test_users_options_come_first_and_the_host_last():
    argv = connect_command(FULL, "/s", "REMOTE", {"X": "y"}, may_ask=False)
    assert argv[:3] == ["ssh", "-o", "A=b"]
    assert argv[-8:] == ["-J", "gate", "-p", "2222", "-i", "/k", "ada@login", "REMOTE"]
    assert {"BatchMode=yes", "ControlMaster=yes", "X=y", "RemoteCommand=none"} <= set(argv)
    assert "BatchMode=no" in connect_command(FULL, "/s", "REMOTE", {}, may_ask=True)


def test_session_makes_no_login_of_its_own_unless_it_may():
    assert "ProxyCommand=false" in session_command(FULL, "/s", "REMOTE")
    assert "-J" not in session_command(FULL, "/s", "REMOTE")
    assert "ProxyCommand=false" not in session_command(FULL, "/s", "REMOTE", may_connect=True)
    assert check_command(PLAIN, "/s") == ["ssh", "-S", "/s", "-O", "check", "login.site.org"]
    assert by_hand(SSHChannel(host="x", key_file="/my keys/k")) == "ssh -i '/my keys/k' x"
    assert by_hand(FULL, "/s") == "ssh -o A=b -M -N -f -S /s -J gate -p 2222 -i /k ada@login"


@pytest.mark.parametrize(
    ("words", "what", "needs_user"),
    [
        ("ssh: Could not resolve hostname x: Name or service not known", "has no address here", False),
        ("ssh: connect to host x port 22: Connection refused", "nothing listens", False),
        ("ssh: connect to host x port 22: Connection timed out", "does not answer", False),
        ("ssh: connect to host x port 22: No route to host", "does not answer", False),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "another one", True),
        ("Host key verification failed.", "is not known here", True),
        ("No ED25519 host key is known for x", "is not known here", True),
        ("ada@x: Permission denied (publickey).", "refused the login. Add the key to the agent", True),
        ("x: Permission denied (publickey,keyboard-interactive).", "use SSHInteractiveLoginChannel", True),
        ("Received disconnect: Too many authentication failures", "IdentitiesOnly", True),
        (
            "Warning: Identity file /k not accessible: No such file\nx: Permission denied (a).",
            "key_file",
            True,
        ),
        (
            "Permissions 0644 for 'k' are too open.\nWARNING: UNPROTECTED PRIVATE KEY FILE!\nPermission denied",
            "chmod",
            True,
        ),
        ("command-line: line 0: Bad configuration option: foo", "refuses its options", True),
        ("Bad owner or permissions on /home/ada/.ssh/config", "refuses its options", True),
        ("WARNING: Your password has expired.", "has expired", True),
        ("kex_exchange_identification: read: Connection reset by peer", "was not made", False),
    ],
)
def test_words_of_ssh_have_a_cause_and_a_next_step_and_are_quoted(words, what, needs_user):
    failure = login_failure(PLAIN, words, exit_code=255)
    assert what in failure.message
    assert failure.needs_user == needs_user
    assert words.splitlines()[0] in failure.message


def test_login_without_an_end_and_a_shell_that_exits_are_told_apart():
    assert "was not complete in 30 s" in login_failure(PLAIN, "", "Choose:", exit_code=None).message
    assert "Choose:" in login_failure(PLAIN, "", "Choose:", exit_code=None).message
    assert "ended with exit code 3 before" in login_failure(PLAIN, "", "", exit_code=3).message


def test_channel_that_asks_says_how_to_log_in_again_by_hand():
    asking = SSHInteractiveLoginChannel(host="x")
    failure = login_failure(asking, "x: Permission denied (keyboard-interactive).", exit_code=255)
    assert "SSHInteractiveLoginChannel" not in failure.message
    assert "Log in again by: ssh -M -N -f -S /s x" in lost_login(asking, "/s", failure).message


def test_session_that_reached_nobody_can_be_repeated_and_a_broken_one_cannot():
    assert is_unsent("Connection closed by UNKNOWN port 65535")
    assert not is_unsent(
        "mux_client_request_session: read from master failed: Broken pipe\nkex_exchange_identification"
    )
    assert not is_unsent("mux_client_request_session: session request failed: Session open refused by peer\nUNKNOWN")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"host": "-oProxyCommand=x"}, "must be one word"),
        ({"host": "a b"}, "must be one word"),
        ({"host": "a", "port": 0}, "port"),
        ({"host": "a", "environment": {"A B": "c"}}, "no name of a variable"),
    ],
)
def test_settings_that_ssh_would_take_for_something_else_are_refused(options, why):
    with pytest.raises(ConfigurationError, match=why):
        SSHChannel(**options)


def test_token_has_one_source():
    with pytest.raises(ConfigurationError, match="needs one of token_command"):
        OAuthSSHChannel(host="a")
    with pytest.raises(ConfigurationError, match="needs one of token_command"):
        OAuthSSHChannel(host="a", token="m:f", token_command=["x"])
    assert OAuthSSHChannel(host="a", token_command=["x"]).kind == "ssh_oauth"

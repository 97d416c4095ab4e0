"""Parsl's channels."""

import pytest

import cnflow.compat.parsl  # noqa: F401 - makes parsl importable
from cnflow.channels import SSHChannel
from cnflow.channels.ssh import SSHBackend
from cnflow.channels.ssh_command import by_hand
from cnflow.config.registry import backend_of
from cnflow.errors import ChannelError, ConfigurationError


@pytest.fixture
def channels():
    import parsl.channels

    return parsl.channels


def test_parsls_parameters_of_ssh_become_options_of_ssh(channels):
    made = channels.SSHChannel(
        hostname="swift.rcc.uchicago.edu",
        username="ada",
        script_dir="/scratch/ada/scripts",
        envs={"A": "b"},
        gssapi_auth=True,
        port=2222,
        key_filename="/k",
        host_keys_filename="/known",
    )
    options = "-o GSSAPIAuthentication=yes -o UserKnownHostsFile=/known"
    assert by_hand(made) == f"ssh {options} -p 2222 -i /k ada@swift.rcc.uchicago.edu"
    assert made.environment == {"A": "b"}


def test_defaults_and_positions_are_parsls(channels):
    plain = channels.SSHChannel("login", None, None, None, None)
    assert (plain.host, plain.user, plain.environment) == ("login", None, {})
    assert channels.LocalChannel("/home/ada", {}, "/scripts").kind == "local"
    asking = channels.SSHInteractiveLoginChannel("login", username="ada", password="x", script_dir="/s")
    assert (asking.kind, asking.user, asking.prompt) == ("ssh_interactive", "ada", None)


def test_password_answers_the_login_and_is_shown_nowhere(channels):
    made = channels.SSHChannel("login", password="hunter2")
    backend = backend_of(made)(made)
    assert isinstance(backend, SSHBackend)
    answers = backend._shared.connection._answers
    answers.begin()
    assert answers.answer("Password: ") == "hunter2"
    assert "hunter2" not in repr(made) + str(made.model_dump())
    backend.close()


def test_token_is_that_of_oauth_ssh_which_has_to_be_installed(channels):
    made = channels.OAuthSSHChannel("login", "ada")
    with pytest.raises(ChannelError, match="pip install oauth-ssh"):
        made.token()


def test_error_of_cnflows_channels_is_caught_as_parsls():
    from parsl.channels.errors import AuthException
    from parsl.channels.errors import ChannelError as Theirs

    assert Theirs is ChannelError
    assert issubclass(AuthException, Theirs)


def test_wrong_parameter_is_a_type_error(channels):
    with pytest.raises(TypeError, match="hostnam"):
        channels.SSHChannel(hostnam="x")
    with pytest.raises(ConfigurationError):
        SSHChannel()

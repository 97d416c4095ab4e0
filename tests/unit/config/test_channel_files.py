"""Channels in files."""

import pytest

from cnflow.channels import LocalChannel, OAuthSSHChannel, SSHChannel, SSHInteractiveLoginChannel
from cnflow.config import Config, HighThroughputExecutor, SlurmProvider, load_config
from cnflow.config.dump import to_toml
from cnflow.errors import ConfigurationError


@pytest.mark.parametrize(
    "channel",
    [
        LocalChannel(),
        SSHChannel(host="login", user="ada", port=2222, options=["-o", "A=b"], environment={"A": "it's"}, setup="a\nb"),
        SSHInteractiveLoginChannel(host="login", prompt="site:answer"),
        OAuthSSHChannel(host="login", token_command=["fetch", "a token"]),
    ],
)
def test_channel_survives_a_file(channel, tmp_path):
    config = Config(executors=[HighThroughputExecutor(provider=SlurmProvider(channel=channel))])
    (tmp_path / "config.toml").write_text(to_toml(config))
    assert load_config(tmp_path / "config.toml") == config


def test_function_of_a_channel_is_not_written_to_a_file():
    config = Config(
        executors=[
            HighThroughputExecutor(provider=SlurmProvider(channel=SSHInteractiveLoginChannel(host="a", prompt=str)))
        ]
    )
    with pytest.raises(ConfigurationError, match="prompt"):
        to_toml(config)

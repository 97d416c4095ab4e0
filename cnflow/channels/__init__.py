"""Channels: how commands reach the machine on which they run.

The classes are settings; their live halves are imported on use.
"""

from cnflow.config.channels import (
    ChannelSettings,
    LocalChannel,
    OAuthSSHChannel,
    SSHChannel,
    SSHInteractiveLoginChannel,
)

__all__ = ["ChannelSettings", "LocalChannel", "OAuthSSHChannel", "SSHChannel", "SSHInteractiveLoginChannel"]

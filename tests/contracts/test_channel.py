"""`ChannelContract` on this machine's channel; that of ssh is in tests/services/test_ssh_channel.py."""

import pytest

from cnflow.channels import LocalChannel
from cnflow.channels.local import LocalBackend
from cnflow.testing.contracts.channel import ChannelContract


class TestLocal(ChannelContract):
    @pytest.fixture
    def channel(self):
        return LocalBackend(LocalChannel())

    @pytest.fixture
    def folder(self, tmp_path):
        return str(tmp_path / "a folder")

from typing import ClassVar, Literal

import pytest

from cnflow.config.channels import ChannelSettings
from cnflow.config.interchange_place import SiteAddress
from cnflow.errors import ChannelError
from cnflow.executors.high_throughput.interchange_site import AtSite
from cnflow.testing import FakeProvider, FakeProviderSettings


class Channel:
    """Breaks as often as the test says, and then leads to this machine."""

    name = "login1"
    is_local = True
    breaks: ClassVar[list[str]] = []

    def __init__(self, settings):
        pass

    def open(self):
        if self.breaks:
            raise ChannelError(self.breaks.pop())

    def close(self):
        pass


class BreakingChannel(ChannelSettings):
    backend: ClassVar[type] = Channel
    kind: Literal["breaking"] = "breaking"


@pytest.fixture
def connect(tmp_path, monkeypatch):
    """Connects with a site whose connection breaks so often, while the provider prepares its image."""

    def call(breaks):
        monkeypatch.setattr(Channel, "breaks", ["login1 ended the connection."] * breaks)
        host = AtSite(SiteAddress(BreakingChannel(), str(tmp_path)), 60.0, tmp_path / "log")
        host.prepare()
        host.connect(FakeProvider(FakeProviderSettings()))

    return call


def test_site_is_reached_again_after_its_connection_broke(connect):
    connect(0)
    connect(1)


def test_site_that_is_not_reached_again_is_an_error(connect):
    with pytest.raises(ChannelError, match="login1 ended the connection"):
        connect(2)

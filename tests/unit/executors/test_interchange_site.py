import threading
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
    opens: ClassVar[threading.Event] = threading.Event()
    events: ClassVar[list[str]] = []

    def __init__(self, settings):
        pass

    def open(self):
        self.opens.wait(60)
        self.events.append("open")
        if self.breaks:
            raise ChannelError(self.breaks.pop())

    def close(self):
        self.events.append("close")


class BreakingChannel(ChannelSettings):
    backend: ClassVar[type] = Channel
    kind: Literal["breaking"] = "breaking"


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes the host of an interchange at a site, and begins to reach it."""
    monkeypatch.setattr(Channel, "opens", threading.Event())
    monkeypatch.setattr(Channel, "events", [])

    def call():
        host = AtSite(SiteAddress(BreakingChannel(), str(tmp_path)), 60.0, tmp_path / "log")
        host.prepare()
        return host

    return call


@pytest.fixture
def connect(make, monkeypatch):
    """Connects with a site whose connection breaks so often, while the provider prepares its image."""

    def call(breaks):
        monkeypatch.setattr(Channel, "breaks", ["login1 ended the connection."] * breaks)
        Channel.opens.set()
        make().connect(FakeProvider(FakeProviderSettings()))

    return call


def test_site_is_reached_again_after_its_connection_broke(connect):
    connect(0)
    connect(1)


def test_site_that_is_not_reached_again_is_an_error(connect):
    with pytest.raises(ChannelError, match="login1 ended the connection"):
        connect(2)


def test_connection_that_is_made_after_the_end_is_left(make):
    host = make()
    host.close()
    Channel.opens.set()
    host._reaching.join(60)
    assert Channel.events == ["close", "open", "close"]

from typing import ClassVar, Literal

import pytest

from cnflow.config.channels import ChannelSettings
from cnflow.config.interchange_place import SiteAddress
from cnflow.errors import ChannelError
from cnflow.executors.high_throughput.site_login import SiteLogin
from cnflow.testing import FakeProviderSettings


class Channel:
    """Records the logins and ends of all channels of a test."""

    events: ClassVar[list[str]] = []

    def __init__(self, settings):
        self._refuses = settings.refuses

    def open(self):
        if self._refuses:
            raise ChannelError("login1 refuses the user.")
        self.events.append("open")

    def close(self):
        self.events.append("close")


class AskingChannel(ChannelSettings):
    backend: ClassVar[type] = Channel
    asks_user: ClassVar[bool] = True
    kind: Literal["asking"] = "asking"
    refuses: bool = False


class QuietChannel(AskingChannel):
    asks_user: ClassVar[bool] = False
    kind: Literal["quiet"] = "quiet"


class SiteProvider(FakeProviderSettings):
    kind: Literal["site_with_login"] = "site_with_login"
    channel: ChannelSettings

    def site(self):
        return SiteAddress(self.channel, "~/.cnflow")


@pytest.fixture
def events():
    Channel.events.clear()
    return Channel.events


def test_login_that_asks_is_made_at_once_and_left_at_the_end(events):
    login = SiteLogin(SiteProvider(channel=AskingChannel()))
    login.begin()
    assert events == ["open"]
    login.close()
    login.close()
    assert events == ["open", "close"]


def test_other_logins_are_left_to_the_provider(events):
    for provider in (SiteProvider(channel=QuietChannel()), FakeProviderSettings()):
        login = SiteLogin(provider)
        login.begin()
        login.close()
    assert events == []


def test_login_that_is_refused_is_an_error(events):
    with pytest.raises(ChannelError, match="login1 refuses the user"):
        SiteLogin(SiteProvider(channel=AskingChannel(refuses=True))).begin()
    assert events == ["close"]

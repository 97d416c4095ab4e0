from typing import Literal

import pytest

from cnflow.config import HighThroughputExecutor, LocalProvider
from cnflow.config.channels import ChannelSettings, LocalChannel
from cnflow.config.interchange_place import SiteAddress, interchange_site
from cnflow.errors import ConfigurationError
from cnflow.executors import Listen, Tunnel


class FarChannel(ChannelSettings):
    kind: Literal["far"] = "far"


class SiteProvider(LocalProvider):
    kind: Literal["site_of_test"] = "site_of_test"
    is_far: bool = True

    def site(self):
        return SiteAddress(FarChannel() if self.is_far else LocalChannel(), "~/.cnflow")


def place_of(**settings):
    return interchange_site(HighThroughputExecutor(**settings))


def test_interchange_runs_at_the_site_if_the_channel_leads_to_another_machine():
    assert place_of(provider=SiteProvider()) == SiteAddress(FarChannel(), "~/.cnflow")
    assert place_of(provider=SiteProvider(is_far=False)) is None
    assert place_of() is None


def test_interchange_runs_where_the_settings_say():
    assert place_of(provider=SiteProvider(is_far=False), interchange="site") == SiteAddress(LocalChannel(), "~/.cnflow")
    assert place_of(provider=SiteProvider(), interchange="driver") is None
    assert place_of(provider=SiteProvider(), interchange_command=["ssh"], address="login1") is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"interchange": "site"}, "needs a provider whose blocks are reached by a channel.*not LocalProvider"),
        (
            {"interchange": "driver", "interchange_command": ["ssh"], "address": "login1"},
            "leave out interchange='driver'",
        ),
        ({"provider": SiteProvider(), "way": Listen()}, r"way=Listen\(\) needs a folder that this machine and the"),
        (
            {"provider": SiteProvider(), "way": Tunnel(address="n:1", command=["ssh"])},
            r"Tunnel\(command=...\) leads to this machine",
        ),
        ({"interchange": "login"}, "Input should be 'auto', 'driver' or 'site'"),
    ],
    ids=["no site", "command", "listen", "tunnel", "word"],
)
def test_place_that_contradicts_other_options_is_refused_in_words(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        HighThroughputExecutor(**settings)


def test_ways_that_need_the_drivers_machine_fit_a_site_on_it():
    assert place_of(provider=SiteProvider(is_far=False), interchange="site", way=Listen()) is not None

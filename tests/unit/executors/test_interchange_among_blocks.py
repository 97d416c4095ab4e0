"""An interchange in the provider's system, whose executor ends while the provider makes its machine."""

from types import SimpleNamespace

import pytest

from cnflow.errors import BlockError, BlockRejectedError
from cnflow.executors.high_throughput.interchange_among_blocks import AmongBlocks
from cnflow.ids import RunId
from cnflow.interfaces import InterchangeRequest
from cnflow.model.image import Image
from cnflow.testing import FakeProvider, FakeProviderSettings
from cnflow.units import Seconds


class Places(FakeProvider):
    """Makes machines of interchanges, and keeps those that are there."""

    def __init__(self):
        super().__init__(FakeProviderSettings())
        self.there = []
        self.before_answer = lambda: None

    def place_interchange(self, request):
        place = SimpleNamespace(name="pod 1", addresses=["10.0.0.1"], port=6000)
        place.close = lambda: self.there.remove(place)
        self.there.append(place)
        self.before_answer()
        return place


@pytest.fixture
def host(tmp_path):
    request = InterchangeRequest(RunId("3fa1"), "train", Image("app:1"), None, Seconds(3600.0))
    return AmongBlocks(request, tmp_path / "interchange.log")


def test_machine_is_made_once_and_removed_at_the_end(host):
    provider = Places()
    host.connect(provider)
    host.connect(provider)
    assert host.addresses(provider) == ["10.0.0.1"]
    assert host.name == "the connection with the interchange in pod 1"
    assert len(provider.there) == 1
    host.close()
    host.close()
    assert provider.there == []


def test_machine_that_is_made_while_the_executor_ends_does_not_outlive_it(host):
    provider = Places()
    provider.before_answer = host.close
    with pytest.raises(BlockError, match="The executor ends before its interchange has begun"):
        host.connect(provider)
    assert provider.there == []


def test_provider_without_such_machines_is_refused_in_words(host):
    with pytest.raises(BlockRejectedError, match="FakeProvider runs no interchange among its blocks"):
        host.connect(FakeProvider(FakeProviderSettings()))

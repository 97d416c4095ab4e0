"""Several providers as one: ids, what each is asked, and one that fails."""

from pathlib import Path

import pytest

from cnflow.config.several import SeveralProviders
from cnflow.errors import BlockError, ImageNotFoundError
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest, BlockState
from cnflow.model.image import NO_IMAGE, Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers.several.provider import SeveralBackend
from cnflow.testing import FakeProviderSettings

RUN = RunId("r")


def request(block):
    manager = ManagerSettings(hosts=(), endpoint="ipc://x", executor="htex", block=block)
    return BlockRequest(RUN, "htex", BlockId(block), NO_IMAGE, manager, Path("/dev/null"))


@pytest.fixture
def backend():
    return SeveralBackend(SeveralProviders(providers=[FakeProviderSettings(), FakeProviderSettings()]))


def test_native_ids_name_the_provider_and_reach_it_without_that(backend):
    first, second = backend.members.values()
    mine = first.submit([request("0")])["0"]
    other = second.submit([request("1")])["1"]
    assert (mine.partition("/")[0], other.partition("/")[0]) == ("fake", "fake-2")
    assert first.find(RUN, "htex") == {"0": mine}
    assert backend.find(RUN, "htex") == {"0": mine, "1": other}
    statuses = backend.status([mine, other])
    assert {native: status.state for native, status in statuses.items()} == dict.fromkeys(
        [mine, other], BlockState.RUNNING
    )
    assert backend.cancel([mine]) == {}
    assert list(backend.find(RUN, "htex")) == ["1"]


def test_provider_that_cannot_run_the_image_is_passed_over(backend, monkeypatch):
    first, second = (each.provider for each in backend.members.values())

    def refuse(image):
        raise ImageNotFoundError("no such image here")

    monkeypatch.setattr(first, "prepare", refuse)
    monkeypatch.setattr(second, "prepare", lambda image: f"id of {image}")
    assert backend.prepare(Image("x")) == "id of x"
    assert list(backend.failures) == ["fake"]
    monkeypatch.setattr(second, "prepare", refuse)
    with pytest.raises(ImageNotFoundError):
        backend.prepare(Image("x"))


def test_provider_that_does_not_answer_leaves_the_ends_of_its_blocks_open(backend, monkeypatch):
    first, second = backend.members.values()
    mine, other = first.submit([request("0")])["0"], second.submit([request("1")])["1"]

    def fail(blocks):
        raise BlockError("the API is down")

    monkeypatch.setattr(first.provider, "cancel", fail)
    assert backend.cancel([mine, other]) == {mine: "the API is down"}
    assert backend.find(RUN, "htex") == {"0": mine}


def test_addresses_are_those_of_all_and_of_this_machine_for_local_blocks(backend, monkeypatch):
    first, second = (each.provider for each in backend.members.values())
    monkeypatch.setattr(first, "endpoint_hosts", list)
    monkeypatch.setattr(second, "endpoint_hosts", lambda: ["10.0.0.1"])
    assert list(backend.endpoint_hosts()) == ["10.0.0.1", "127.0.0.1"]
    monkeypatch.setattr(second, "endpoint_hosts", list)
    assert list(backend.endpoint_hosts()) == []


def test_provider_without_an_address_is_passed_over(backend, monkeypatch):
    first, second = (each.provider for each in backend.members.values())

    def fail():
        raise BlockError("the engine does not answer")

    monkeypatch.setattr(first, "endpoint_hosts", fail)
    monkeypatch.setattr(second, "endpoint_hosts", lambda: ["10.0.0.1"])
    assert list(backend.endpoint_hosts()) == ["10.0.0.1"]
    assert list(backend.failures) == ["fake"]
    monkeypatch.setattr(second, "endpoint_hosts", fail)
    with pytest.raises(BlockError, match="does not answer"):
        backend.endpoint_hosts()


def test_blocks_of_another_provider_of_the_same_system_are_not_found(backend):
    first, _ = backend.members.values()
    mine = first.submit([request("0"), request("1")])["0"]
    first.is_foreign = lambda block: block == "1"
    assert first.find(RUN, "htex") == {"0": mine}

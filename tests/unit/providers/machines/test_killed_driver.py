"""A driver that is killed at each call of the cloud's interface in turn: whatever it had started is found and ended."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from cnflow.errors import BlockError
from cnflow.ids import BlockId, RunId
from cnflow.interfaces import InterchangeRequest
from cnflow.model.block import BlockRequest, Refused
from cnflow.model.image import NO_IMAGE
from cnflow.model.machine import MachineRequest
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers._shared.machines import run_marks, tags
from cnflow.providers._shared.machines.backend import MachineBackend
from cnflow.testing.boot_sites import DirectBootSite
from cnflow.testing.clouds import FakeCloud, FakeMachineProvider, FakeRegion
from cnflow.units import Seconds

RUN = RunId("20261126-abc")


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path, monkeypatch):
    """Killed drivers leave theirs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Killed(BaseException):
    """SIGKILL of the driver."""


class Killer:
    """Kills the driver at the call of that number, before or after its effect; a dead driver makes no calls."""

    def __init__(self, number):
        self.left = number
        self.is_dead = False

    def __call__(self, name):
        self.left -= 1
        if self.left < 0:
            self.is_dead = True
            raise Killed(name)


def make_backend(region):
    settings = FakeMachineProvider(create_network=True, startup_timeout=0.01, is_in_cloud=False, spot=True)
    return MachineBackend(settings, lambda own: FakeCloud(own, region), make_boot_site=DirectBootSite)


def request_for(block, nodes=1):
    manager = ManagerSettings(hosts=(), endpoint="ipc:///nowhere", executor="htex", block=block)
    return BlockRequest(RUN, "htex", BlockId(block), NO_IMAGE, manager, Path("block.log"), nodes=nodes)


def drive(region):
    """All that a driver does with a cloud, from its first to its last call."""
    backend = make_backend(region)
    backend.prepare(NO_IMAGE)
    with pytest.raises(BlockError, match="ssh"):  # nobody plays the machine, which is ended
        backend.place_interchange(InterchangeRequest(RUN, "htex", NO_IMAGE, None, Seconds(60.0)))
    backend = make_backend(region)
    natives = {}
    for request in (request_for("0"), request_for("1", nodes=2), request_for("2", nodes=3)):
        answer = backend.submit([request])[request.block]
        if not isinstance(answer, Refused):
            natives[request.block] = answer
    backend.status(list(natives.values()))
    backend.logs(natives[BlockId("0")], 0, 10)
    backend.cancel(list(natives.values()))
    backend.close()


def make_region(before_call=None):
    region = FakeRegion(quota=5)  # the third block gets two of its three machines, which are ended again
    if before_call is not None:
        region.before_call = before_call
    return region


def all_calls():
    """Number of moments at which the driver can be killed."""
    seen = []
    drive(make_region(seen.append))
    return len(seen)


def test_a_driver_that_is_not_killed_leaves_nothing():
    region = make_region()
    drive(region)
    assert len(region.machines) == 6
    assert region.living() == {}
    assert region.networks == {}


def test_a_driver_killed_at_any_call_leaves_nothing_untagged_and_nothing_that_is_not_found():
    moments, killed = all_calls(), 0
    for number in range(moments):
        killer = Killer(number)
        region = make_region(killer)
        with pytest.raises(Killed):
            drive(region)
        killed += killer.is_dead
        region.before_call = lambda _name: None
        assert_tagged(region)
        assert_removable(region)
    assert killed == moments > 30


@pytest.mark.parametrize("block", ["1", "2"])
def test_blocks_of_a_killed_driver_are_found_under_the_ids_that_it_would_have_had(block):
    region = make_region()
    request = request_for(block, nodes=2)
    killer = Killer(3)  # after the second launch, before its answer
    region.before_call = killer
    with pytest.raises(Killed):
        make_backend(region).submit([request])
    region.before_call = lambda _name: None
    new = make_backend(region)
    assert new.find(RUN, "htex") == {request.block: tags.block_tag(request.name)}
    assert new.cancel(list(new.find(RUN, "htex").values())) == {}
    assert region.living() == {}


def assert_tagged(region):
    for each in region.machines.values():
        own = each.request.tags
        assert own[tags.RUN] == tags.tag_value(RUN)
        assert own[tags.OWNER] == tags.owner()
        assert own[tags.EXPIRES].isdigit()
        assert own[tags.ROLE] in {tags.ROLE_BLOCK, tags.ROLE_INTERCHANGE}
    for own in region.networks.values():
        assert own == tags.network_tags()


def assert_removable(region):
    """`cnflow clean` of the run, and of orphans, leaves nothing of it; and what is of others."""
    while run_marks.living_driver(tags.tag_value(RUN)):  # the kernel does so when a process is killed
        run_marks.release(tags.tag_value(RUN))
    foreign = region.add(replace(foreign_request(region), token=f"foreign-{len(region.machines)}"))
    cleaner = make_backend(region)
    cleaner.remove_run(RUN)
    assert list(region.living()) == [foreign.id]
    region.end(foreign.id)
    cleaner.remove_orphans()
    assert region.networks == {}
    cleaner.close()


def foreign_request(region):
    region.quota = None
    return MachineRequest("web-1", "web", region.placements[0], {"team": "web"}, "#!/bin/sh\n")

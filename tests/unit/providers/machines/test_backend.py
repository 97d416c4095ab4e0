"""Stories of the provider of machines, and a random walk with faults: whatever runs is of a block that is known."""

import contextlib
import itertools
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from cnflow.errors import BlockError, NoCapacityError
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest, BlockState, EndCause, Refusal, Refused
from cnflow.model.image import NO_IMAGE
from cnflow.model.machine import MachineState
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers._shared.machines import boot, tags
from cnflow.providers._shared.machines.backend import MachineBackend
from cnflow.testing import FakeClock
from cnflow.testing.boot_sites import DirectBootSite
from cnflow.testing.clouds import FAULTS, FakeCloud, FakeMachineProvider, FakeRegion

RUN = RunId("20261126-abc")


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path, monkeypatch):
    """Backends that are left without `close`, as by a killed driver, leave theirs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def clock():
    return FakeClock(1000.0)


@pytest.fixture
def region(clock):
    return FakeRegion(clock=clock)


@pytest.fixture
def sites():
    return []


@pytest.fixture
def backend(region, clock, sites):
    return make_backend(region, clock, sites, status_lag=60.0)


def make_backend(region, clock, sites, **options):
    def make_site(settings, place):
        sites.append(DirectBootSite(settings, place))
        return sites[-1]

    settings = FakeMachineProvider(**options)
    return MachineBackend(settings, lambda own: FakeCloud(own, region), make_boot_site=make_site, clock=clock)


def request_for(block, nodes=1):
    manager = ManagerSettings(hosts=(), endpoint="ipc:///nowhere", executor="htex", block=block)
    return BlockRequest(RUN, "htex", BlockId(block), NO_IMAGE, manager, Path("block.log"), nodes=nodes)


def submit(backend, block, nodes=1):
    return backend.submit([request_for(block, nodes)])[BlockId(block)]


def test_a_block_that_is_not_listed_yet_is_pending_and_can_be_ended(backend, region):
    region.lists_after = 30.0
    native = submit(backend, "0")
    assert backend.status([native])[native].state is BlockState.PENDING
    assert backend.cancel([native]) == {}
    assert region.living() == {}


def test_a_block_that_is_never_listed_is_gone_after_the_lag(backend, region, clock):
    native = submit(backend, "0")
    region.machines.clear()
    clock.advance(59.0)
    assert backend.status([native])[native].state is BlockState.PENDING
    clock.advance(2.0)
    assert backend.status([native])[native].state is BlockState.GONE


def test_the_blocks_of_an_executor_cost_one_query(backend, region):
    natives = [submit(backend, str(number)) for number in range(20)]
    region.calls.clear()
    assert len(backend.status(natives)) == 20
    assert region.calls == ["list"]


def test_blocks_of_unknown_origin_cost_one_query_once_they_were_found(backend, region, clock):
    natives = [submit(backend, str(number)) for number in range(3)]
    other = make_backend(region, clock, [])
    assert len(other.status(natives)) == 3
    region.calls.clear()
    assert len(other.status(natives)) == 3
    assert region.calls == ["list"]


def test_a_full_placement_is_not_asked_again_for_each_block(backend, region):
    region.capacity["m1", "a", False] = 0
    for number in range(5):
        assert not isinstance(submit(backend, str(number)), Refused)
    assert region.calls.count("launch") == 6


def test_a_region_without_room_is_named_with_all_that_was_tried(backend, region):
    for placement in region.placements:
        region.capacity[placement[:3]] = 0
    answer = submit(backend, "0")
    assert answer.kind is Refusal.BUSY
    assert isinstance(answer.error, NoCapacityError)
    for words in ("m1 in a: there is no m1 in a left", "m1 in b", "m2 in a", "Name more instance_types= or zones="):
        assert words in answer.words
    assert submit(backend, "1").kind is Refusal.BUSY
    assert region.calls.count("launch") == 3


def test_the_user_data_of_a_refused_block_is_forgotten(backend, region, sites):
    region.fail("launch", FAULTS["throttle"])
    assert submit(backend, "0").kind is Refusal.BUSY
    assert sites[0].forgotten == [request_for("0").name]


def test_a_preempted_machine_moves_its_placement_behind_the_others(backend, region):
    native = submit(backend, "0")
    region.preempt("vm-1")
    status = backend.status([native])[native]
    assert (status.state, status.cause) == (BlockState.FAILED, EndCause.PREEMPTED)
    submit(backend, "1")
    assert region.machines["vm-2"].request.placement.zone == "b"


def test_the_end_of_a_manager_is_read_from_its_report_before_the_console(backend, region, sites):
    native = submit(backend, "0")
    sites[0].reports[request_for("0").name, 0] = f"{boot.OUTPUT}\nall is well\n{boot.EXIT_CODE.format(0)}\n"
    region.end("vm-1", "shut down from inside")
    assert backend.status([native])[native].state is BlockState.ENDED
    assert "console" not in region.calls


def test_an_end_without_any_words_is_awaited_for_seconds_and_then_reported(backend, region, clock):
    native = submit(backend, "0")
    region.end("vm-1", "shut down from inside")
    assert backend.status([native]) == {}
    clock.advance(11.0)
    assert "shut down from inside" in backend.status([native])[native].message


def test_a_block_whose_machine_is_kept_is_terminated_once_its_end_was_read(region, backend):
    region.keeps_ended = True
    native = submit(backend, "0")
    region.machines["vm-1"].printed = f"{boot.OUTPUT}\n{boot.EXIT_CODE.format(3)}\n".encode()
    region.end("vm-1", "shut down from inside")
    assert backend.status([native])[native].exit_code == 3
    assert region.calls[-2:] == ["console", "terminate"]
    assert region.living() == {}


def test_a_price_of_the_settings_stands_for_that_of_the_table(region, clock, sites):
    backend = make_backend(region, clock, sites, price_per_hour=1.5)
    native = submit(backend, "0", nodes=2)
    assert backend.status([native])[native].rate == (3.0, 4.0, 0.0)


def test_two_machines_of_one_rank_are_one_block_of_which_both_are_ended(backend, region):
    native = submit(backend, "0")
    twin = replace(region.machines["vm-1"].request, token="another")
    region.add(twin)
    assert backend.find(RUN, "htex") == {BlockId("0"): native}
    assert backend.cancel([native]) == {}
    assert region.living() == {}


class Walk:
    """Acts of a driver, of its cloud, and of chance."""

    def __init__(self, region, clock, seed):
        self.region, self.clock, self.chance = region, clock, random.Random(seed)
        self.asked, self.cancelled, self.numbers = {}, set(), itertools.count()
        self.region.keeps_ended = self.chance.random() < 0.5
        self.restart()

    def restart(self):
        self.backend = make_backend(self.region, self.clock, [])

    def submit(self):
        request = request_for(str(next(self.numbers)), nodes=self.chance.choice([1, 1, 2, 3]))
        answer = self.backend.submit([request])[request.block]
        assert_answer(self.region, request, answer)
        if not isinstance(answer, Refused) or answer.kind is Refusal.UNKNOWN:
            self.asked[request.block] = tags.block_tag(request.name)

    def cancel(self):
        chosen = self.chance.choice([*self.asked.values(), "cnflow-nobody"])
        if not self.backend.cancel([chosen]) and self.region.lists_after == 0.0:
            self.cancelled.add(chosen)

    def status(self):
        statuses = self.backend.status(list(self.asked.values()))
        assert all(statuses[each].state.is_final for each in self.cancelled & statuses.keys())

    def fault(self):
        fault = self.chance.choice(sorted(FAULTS))
        call = self.chance.choice(["launch", "list", "terminate", "console"]) if fault == "outage" else "launch"
        self.region.fail(call, FAULTS[fault], after=fault == "outage" and call == "launch")

    def end(self):
        for machine in list(self.region.living())[:1]:
            self.chance.choice([self.region.preempt, self.region.end])(machine)

    def lag(self):
        self.region.lists_after = self.chance.choice([0.0, 0.0, 15.0])

    def step(self):
        self.clock.advance(self.chance.choice([0.0, 1.0, 20.0, 70.0]))
        acts = [self.submit, self.submit, self.cancel, self.status, self.fault, self.end, self.restart, self.lag]
        with contextlib.suppress(BlockError):
            self.chance.choice(acts)()
        assert_known(self.region, self.asked)


@pytest.mark.parametrize("seed", range(25))
def test_whatever_fails_no_machine_is_lost_sight_of(region, clock, seed):
    walk = Walk(region, clock, seed)
    for _ in range(60):
        walk.step()
    region.mend()
    region.lists_after = 0.0
    walk.backend.remove_run(RUN)
    assert region.living() == {}


def assert_answer(region, request, answer):
    """A block that was refused for certain has no machine that costs, and one that was accepted has all of them."""
    own = [each for each in region.machines.values() if each.request.tags[tags.BLOCK] == tags.block_tag(request.name)]
    if not isinstance(answer, Refused):
        assert {each.request.tags[tags.RANK] for each in own} == set(map(str, range(request.nodes)))
    elif answer.kind is not Refusal.UNKNOWN:
        assert all(each.machine.state is MachineState.ENDED and not each.machine.is_kept for each in own)


def assert_known(region, asked):
    """Each machine that lives is of a block that the driver knows of."""
    assert {each.tags[tags.BLOCK] for each in region.living().values()} <= set(asked.values())

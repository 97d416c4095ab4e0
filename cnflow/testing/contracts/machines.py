"""Contract of a provider of virtual machines on a cloud, besides that of every provider.

Derive one class from this, `cnflow.testing.contracts.provider.ProviderContract`, whose fixtures these tests use, and
`cnflow.testing.contracts.provider_data.ProviderDataContract`. Further hooks::

    hook (fixture)        gives                                                       must be overridden
    ─────────────────────────────────────────────────────────────────────────────────────────────────────
    control               `CloudControl` of the cloud under test                      yes
    has_preemption        False for a cloud that takes no machine back                if it does not
    knows_rates           False for a cloud without prices and sizes                  if it does not

What these tests look at: how many machines run, whatever the driver knows of them; that each has tags by which it is
found; and that machines of others are left alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

import pytest

from cnflow.errors import BlockError
from cnflow.interfaces.provider import RemovesRuns
from cnflow.model.block import BlockState, EndCause, Refusal, Refused
from cnflow.providers._shared.machines import tags
from cnflow.testing.contracts.provider import is_over, state_of, submit_one

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from cnflow.interfaces.provider import Provider
    from cnflow.testing.contracts.provider import MakeRequest, Start, WaitUntil

Fault = Literal["capacity", "quota", "throttle", "credentials", "outage"]
_REFUSALS = {
    "capacity": {Refusal.BUSY},
    "quota": {Refusal.BUSY},
    "throttle": {Refusal.BUSY},
    "credentials": {Refusal.FOR_GOOD},
    "outage": {Refusal.FAILED, Refusal.UNKNOWN, Refusal.BUSY},
}


class CloudControl(Protocol):
    """The cloud under test from its other side: what it has, and what it is to do."""

    def running(self) -> Collection[str]:
        """Ids of all machines that have not ended, or that the cloud keeps until they are terminated, of anybody."""

    def tags(self, machine: str) -> Mapping[str, str]:
        """Tags of a machine."""

    def faulty(self, fault: Fault) -> AbstractContextManager[None]:
        """Refuse each launch for this reason, within the context; ``outage`` answers no call at all."""

    def losing_answers(self) -> AbstractContextManager[None]:
        """Start machines and lose the first answer of each launch, within the context."""

    def room_for(self, machines: int) -> AbstractContextManager[None]:
        """Have room for so many more machines in all, within the context."""

    def halt(self, machine: str) -> None:
        """Shut a machine down from inside, as its own ``shutdown -h now`` does."""

    def preempt(self, machine: str) -> None:
        """Take a machine back, as a cloud does with spare capacity."""

    def launch_foreign(self) -> str:
        """Start a machine of somebody else, with other tags, and return its id."""


class VmContract:
    """Promises of every provider of virtual machines; see the module for the hooks."""

    # Hooks

    @pytest.fixture
    def control(self) -> CloudControl:
        """Override: control of the cloud under test."""
        raise NotImplementedError

    has_preemption = True
    knows_rates = True

    # Nothing is forgotten

    def test_a_machine_carries_run_executor_block_owner_and_expiry(
        self, provider: Provider, make_request: MakeRequest, start: Start, control: CloudControl
    ) -> None:
        """All that finds a machine again is on it from its start."""
        request = make_request()
        block = start(provider, request)
        [machine] = control.running()
        found = control.tags(machine)
        wanted = {**tags.run_tags(request.run, request.executor), tags.BLOCK: block, tags.OWNER: tags.owner()}
        assert wanted.items() <= found.items()
        assert (found[tags.ROLE], found[tags.RANK], found[tags.NUMBER]) == (tags.ROLE_BLOCK, "0", request.block)
        assert found[tags.EXPIRES].isdigit()

    def test_a_machine_of_somebody_else_is_neither_listed_nor_ended(
        self, provider: Provider, make_request: MakeRequest, start: Start, control: CloudControl
    ) -> None:
        """Whatever is ended is of cnflow: a block, a run, and what is left of runs."""
        foreign, request = control.launch_foreign(), make_request()
        block = start(provider, request)
        assert provider.find(request.run, request.executor) == {request.block: block}
        assert provider.cancel([block]) == {}
        assert isinstance(provider, RemovesRuns)
        provider.remove_run(request.run)
        provider.remove_orphans()
        assert list(control.running()) == [foreign]

    def test_the_removal_of_a_run_leaves_other_runs(
        self, provider: Provider, make_request: MakeRequest, start: Start, control: CloudControl
    ) -> None:
        """`remove_run` ends machines of one run."""
        mine = make_request("1")
        other = replace(make_request("2"), run=type(mine.run)(f"{mine.run}-other"))
        start(provider, mine)
        kept = start(provider, other)
        assert isinstance(provider, RemovesRuns)
        provider.remove_run(mine.run)
        assert {control.tags(each)[tags.BLOCK] for each in control.running()} == {kept}

    def test_a_lost_answer_leaves_one_machine_that_is_found(
        self, provider: Provider, make_request: MakeRequest, control: CloudControl, wait_until: WaitUntil
    ) -> None:
        """A launch is repeated with its token, or its machine is found by its tags."""
        request = make_request()
        with control.losing_answers():
            answer = provider.submit([request])[request.block]
        assert not isinstance(answer, Refused) or answer.kind is Refusal.UNKNOWN
        wait_until(lambda: provider.find(request.run, request.executor))
        assert len(control.running()) == 1
        assert provider.cancel(list(provider.find(request.run, request.executor).values())) == {}
        wait_until(lambda: not control.running())

    # Refusals

    @pytest.mark.parametrize("fault", sorted(_REFUSALS))
    def test_a_refused_block_leaves_nothing_running(
        self, provider: Provider, make_request: MakeRequest, control: CloudControl, fault: Fault
    ) -> None:
        """`submit` returns the refusal with the cloud's words."""
        request = make_request()
        with control.faulty(fault):
            answer = provider.submit([request])[request.block]
        assert isinstance(answer, Refused)
        assert answer.kind in _REFUSALS[fault]
        assert answer.words
        assert list(control.running()) == []
        assert provider.find(request.run, request.executor) == {}

    def test_an_outage_is_an_error_and_no_end_of_a_block(
        self, provider: Provider, make_request: MakeRequest, start: Start, control: CloudControl, wait_until: WaitUntil
    ) -> None:
        """`status` raises while the cloud does not answer, and the block runs on."""
        block = start(provider, make_request())
        with control.faulty("outage"), pytest.raises(BlockError):
            provider.status([block])
        wait_until(lambda: state_of(provider, block) is BlockState.RUNNING)

    # Blocks of several machines

    def test_a_block_of_two_nodes_is_two_machines(
        self, provider: Provider, make_request: MakeRequest, start: Start, control: CloudControl
    ) -> None:
        """Each node has its rank, and all end together."""
        request = replace(make_request(), nodes=2)
        block = start(provider, request)
        assert sorted(control.tags(each)[tags.RANK] for each in control.running()) == ["0", "1"]
        status = provider.status([block])[block]
        assert len(status.hosts) == 2
        assert provider.cancel([block]) == {}
        assert is_over(provider, block)
        assert list(control.running()) == []

    def test_a_block_without_room_for_all_its_machines_has_none(
        self, provider: Provider, make_request: MakeRequest, control: CloudControl, wait_until: WaitUntil
    ) -> None:
        """The machines that were started before the refusal are ended."""
        request = replace(make_request(), nodes=2)
        with control.room_for(1):
            answer = provider.submit([request])[request.block]
        assert isinstance(answer, Refused)
        assert answer.kind is Refusal.BUSY
        wait_until(lambda: not control.running())

    # Ends

    def test_a_machine_that_was_shut_down_is_reported_with_its_last_lines(
        self,
        provider: Provider,
        make_request: MakeRequest,
        start: Start,
        control: CloudControl,
        wait_until: WaitUntil,
    ) -> None:
        """A machine that ends by itself is a failed block, whose message has the console's end."""
        block = start(provider, make_request())
        wait_until(lambda: b"ready" in provider.logs(block, 0, 10))
        [machine] = control.running()
        control.halt(machine)
        wait_until(lambda: is_over(provider, block))
        status = provider.status([block])[block]
        assert status.state is BlockState.FAILED
        assert machine in status.message
        assert "ready" in status.message
        wait_until(lambda: not control.running())  # one that the cloud keeps is terminated

    def test_a_machine_that_was_taken_back_is_preempted(
        self, provider: Provider, make_request: MakeRequest, start: Start, control: CloudControl, wait_until: WaitUntil
    ) -> None:
        """The cause is the cloud's, so that no retry of a task is used up."""
        if not self.has_preemption:
            pytest.skip("this cloud takes no machine back")
        block = start(provider, make_request())
        [machine] = control.running()
        control.preempt(machine)
        wait_until(lambda: is_over(provider, block))
        status = provider.status([block])[block]
        assert status.cause is EndCause.PREEMPTED
        assert "taken back" in status.message

    def test_a_running_block_has_a_rate(self, provider: Provider, make_request: MakeRequest, start: Start) -> None:
        """The budget counts by it."""
        if not self.knows_rates:
            pytest.skip("this cloud has no prices")
        block = start(provider, make_request())
        rate = provider.status([block])[block].rate
        assert rate is not None
        assert rate.usd_per_hour is not None
        assert rate.cores > 0

    def test_a_block_that_was_refused_may_be_asked_for_again(
        self, provider: Provider, make_request: MakeRequest, control: CloudControl
    ) -> None:
        """A refusal that has passed leaves no trace that hinders the next request of the same block."""
        request = make_request()
        with control.faulty("throttle"):
            assert isinstance(provider.submit([request])[request.block], Refused)
        block = submit_one(provider, request)
        assert len(control.running()) == 1
        assert provider.cancel([block]) == {}

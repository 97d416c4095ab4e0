"""Judges blocks by the machines that the cloud lists for them. No I/O.

::

    none listed                        GONE     the controller waits for `status_lag` before it believes that
    one is PENDING                     PENDING
    one is RUNNING, none PENDING       RUNNING
    some of a block's never came       FAILED   once the cloud must have listed them; the provider ends the others
    all have ended, or are about to    ENDED    every manager with exit code 0
                                       FAILED   any other end, with the cause that cloud or console know
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.model.machine import MachineState, Rate
from cnflow.providers._shared.machines import tags
from cnflow.providers._shared.machines.console import NO_END, End
from cnflow.text import describe_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cnflow.model.machine import Machine, Placement

_YOUNG = 300.0

LIVING = frozenset({MachineState.PENDING, MachineState.RUNNING})


class Block(NamedTuple):
    """Machines of one block, by rank."""

    tag: str
    machines: tuple[Machine, ...]

    @property
    def nodes(self) -> int:
        """Machines that it has in all, as their tags say."""
        return max((number(each, tags.NODES, 1) for each in self.machines), default=1)

    @property
    def living(self) -> tuple[Machine, ...]:
        """Machines that have not ended."""
        return tuple(each for each in self.machines if each.state in LIVING)

    @property
    def left(self) -> tuple[Machine, ...]:
        """Machines that cost something until they are terminated."""
        return tuple(each for each in self.machines if is_left(each))

    @property
    def is_over(self) -> bool:
        """No machine of it will run again."""
        return not self.living

    def is_incomplete(self, wall: float, lag: float) -> bool:
        """True if some machines were never started, as the cloud would list them by now.

        Only of a young block: clouds list a machine that has ended for some minutes.
        """
        known = len({each.tags.get(tags.RANK) for each in self.machines})
        age = wall - max(wall if each.launched_at is None else each.launched_at for each in self.machines)
        return known < self.nodes and lag < age < lag + _YOUNG


def blocks_of(machines: Iterable[Machine]) -> dict[str, Block]:
    """Return the blocks that have *machines*; those of interchanges are left out.

    Of several machines of one rank, as a lost answer may leave them, one that lives stands for the rank first.
    """
    found: dict[str, list[Machine]] = {}
    for each in machines:
        if each.tags.get(tags.BLOCK) and each.tags.get(tags.ROLE) == tags.ROLE_BLOCK:
            found.setdefault(each.tags[tags.BLOCK], []).append(each)
    return {
        tag: Block(tag, tuple(sorted(some, key=lambda one: (number(one, tags.RANK, 0), one.state not in LIVING))))
        for tag, some in found.items()
    }


def is_left(machine: Machine) -> bool:
    """Return whether *machine* costs something until it is terminated: it lives, or the cloud keeps it."""
    return machine.state in LIVING or machine.is_kept


def number(machine: Machine, tag: str, default: int) -> int:
    """Return a number among the tags of *machine*."""
    text = machine.tags.get(tag, "")
    return int(text) if text.isdigit() else default


def judge_block(
    block: Block,
    ends: Mapping[str, End],
    *,
    wall: float,
    lag: float,
    rate_of: Callable[[Placement], Rate] = lambda placement: placement.rate,
) -> BlockStatus:
    """Return the status of *block*.

    Args:
        block: with at least one machine, else it is gone.
        ends: what consoles and reports show of the machines that have ended, by their ids.
        wall: Unix time.
        lag: seconds after which the cloud lists what it has accepted.
        rate_of: price and size of a machine by its placement.
    """
    if not block.machines:
        return BlockStatus(BlockState.GONE)
    hosts = tuple(each.private_address or each.id for each in block.machines)
    rate = total(rate_of(each.placement) for each in block.machines)
    if block.is_incomplete(wall, lag):
        words = f"The cloud has started {len(block.machines)} of its {block.nodes} machines."
        return BlockStatus(BlockState.FAILED, words, EndCause.NODE, hosts=hosts, rate=rate)
    if not block.is_over:
        states = {each.state for each in block.living}
        state = BlockState.PENDING if MachineState.PENDING in states else BlockState.RUNNING
        return BlockStatus(state, _reasons(block.living), hosts=hosts, rate=rate)
    if all(_ended_by_itself(each, ends.get(each.id, NO_END)) for each in block.machines):
        return BlockStatus(BlockState.ENDED, exit_code=0, hosts=hosts, rate=rate)
    return _failed(block, ends, hosts, rate)


def _ended_by_itself(machine: Machine, end: End) -> bool:
    """True if the manager ended as it should; not of one that drained because the cloud took its machine back."""
    return end.exit_code == 0 and not end.preempted and machine.cause is not EndCause.PREEMPTED


def total(rates: Iterable[Rate]) -> Rate | None:
    """Return the sum of *rates*; its price is None as soon as one is not known. None without any size or price."""
    usd: float | None = 0.0
    cores = gpus = 0.0
    for rate in rates:
        usd = None if usd is None or rate.usd_per_hour is None else usd + rate.usd_per_hour
        cores, gpus = cores + rate.cores, gpus + rate.gpus
    return None if usd is None and not cores and not gpus else Rate(usd, cores, gpus)


def _failed(block: Block, ends: Mapping[str, End], hosts: tuple[str, ...], rate: Rate | None) -> BlockStatus:
    """Return the status of a block that ended otherwise than planned, by the machine that shows most of the reason."""
    known = [(each, ends.get(each.id, NO_END)) for each in block.machines]
    machine, end = next((pair for pair in known if pair[0].cause is EndCause.PREEMPTED or pair[1].preempted), known[0])
    if not (machine.cause or end.preempted):
        machine, end = next((pair for pair in known if pair[1].is_known and pair[1].exit_code != 0), known[0])
    which = f"Machine {machine.id}" + (f" ({machine.placement})" if machine.placement.instance_type else "")
    message = f"{which} {_how(machine, end)}."
    if end.last_lines:
        message = f"{message} Its last lines:\n{end.last_lines}"
    return BlockStatus(BlockState.FAILED, message, _cause(machine, end), end.exit_code, hosts, rate=rate)


def _how(machine: Machine, end: End) -> str:
    words = machine.reason.rstrip(". ")
    if machine.cause is EndCause.PREEMPTED or end.preempted:
        return f"was taken back by the cloud: {words or end.preempted}"
    if end.boot_failed:
        return f"could not start a manager: {end.boot_failed}"
    if end.exit_code is not None:
        return f"ended: its manager {describe_exit(end.exit_code)}"
    return f"ended: {words}" if words else "ended, and neither the cloud nor its console show why"


def _cause(machine: Machine, end: End) -> EndCause:
    if machine.cause is not None:
        return machine.cause
    return EndCause.PREEMPTED if end.preempted else EndCause.OTHER


def _reasons(machines: Sequence[Machine]) -> str:
    return "; ".join(dict.fromkeys(each.reason for each in machines if each.reason))

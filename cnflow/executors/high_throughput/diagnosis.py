"""Why a task that was submitted has no result yet, in sentences; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.ids import ManagerId
from cnflow.text import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.model.status import BlockReport
    from cnflow.wire.manager_messages import ManagerInfo, ManagerStatus, StatusReport, TaskReport

_MOST_BLOCKS = 5
"""That are told one by one."""


def why_waiting(
    label: str,
    standing: StatusReport | None,
    run: TaskReport | None,
    managers: Mapping[ManagerId, ManagerInfo],
    blocks: Sequence[BlockReport],
) -> list[str]:
    """Where a task is, and what it waits for; see `cnflow.interfaces.Introspectable`.

    Args:
        label: of the executor.
        standing: what the interchange says, asked about the task; None if it does not answer.
        run: what the manager that has it says, if one has it; None if it does not answer.
        managers: the connected ones.
        blocks: those that are there or wanted.
    """
    if standing is None:
        return [
            f"waits for executor {label!r}, which prepares its image, or whose interchange starts.",
            *_coming(blocks),
        ]
    if standing.holder:
        return [_on_a_manager(standing, run, managers)]
    place = f"{_counted(standing.ahead, 'task')} before it" if standing.ahead > 0 else "it is the next"
    if standing.ahead < 0:
        place = "it is on its way to or from its interchange"
    return [
        f"waits for a worker of executor {label!r}; {place}.",
        *_no_slot(standing.managers, managers),
        *_coming(blocks),
    ]


def _on_a_manager(standing: StatusReport, run: TaskReport | None, managers: Mapping[ManagerId, ManagerInfo]) -> str:
    info = managers.get(ManagerId(standing.holder))
    where = f"manager {standing.holder.hex()}"
    if info is not None:
        where += f" on {info.host}, block {info.block}"
    if run is not None and run.rank >= 0:
        return f"has run for {duration(run.seconds)}, in worker {run.rank} of {where}."
    now = next((now for now in standing.managers if now.id == standing.holder), None)
    if info is None or now is None:
        return f"is with {where}."
    has = f"which has {_counted(now.tasks, 'task')} for {_counted(info.slots, 'worker')}"
    if run is None:
        return f"is with {where}, {has}. It was heard {duration(now.silent)} ago, and does not answer."
    return f"waits for a worker of {where}, {has}."


def _no_slot(now: Sequence[ManagerStatus], managers: Mapping[ManagerId, ManagerInfo]) -> list[str]:
    if not now:
        return ["No manager is connected."]
    active = [manager for manager in now if manager.is_active]
    said = []
    if active:
        slots = sum(info.slots for manager in active if (info := managers.get(ManagerId(manager.id))))
        tasks = sum(manager.tasks for manager in active)
        had = f"{_counted(slots, 'worker')} of {_counted(len(active), 'manager')}, with {_counted(tasks, 'task')}"
        said.append(f"Connected: {had}.")
    draining = sum(manager.is_draining for manager in now)
    held = len(now) - len(active) - draining
    if draining:
        said.append(f"Draining, and given no more: {_counted(draining, 'manager')}.")
    if held:
        said.append(f"Put on hold: {_counted(held, 'manager')}.")
    return said


def _coming(blocks: Sequence[BlockReport]) -> list[str]:
    """On the blocks that could run it and do not yet."""
    if not blocks:
        return ["There is no block."]
    coming = [block for block in blocks if not block.nodes and block.state != "draining"]
    said = [_of_block(block) for block in coming[:_MOST_BLOCKS]]
    more = len(coming) - len(said)
    return [*said, f"To come: {_counted(more, 'more block')}."] if more else said


def _of_block(block: BlockReport) -> str:
    name = f"Block {block.block} ({block.native[:12]})" if block.native else f"Block {block.block}"
    words = f": {block.message}" if block.message else ""
    return f"{name} is {block.state}, wanted for {duration(block.age)}{words}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"

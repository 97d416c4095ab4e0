"""Sentences on why a submitted task has no result yet. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.ids import ManagerId, short_native
from cnflow.text import amount_of_memory, duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.model.status import BlockReport
    from cnflow.wire.manager_messages import ManagerInfo, ManagerStatus, StatusReport, TaskReport

_MOST_BLOCKS = 5
"""Blocks that have a sentence each; the others are counted."""


def why_waiting(
    label: str,
    report: StatusReport | None,
    running: TaskReport | None,
    managers: Mapping[ManagerId, ManagerInfo],
    blocks: Sequence[BlockReport],
    pool: str = "",
) -> list[str]:
    """Place of a task and cause of its wait; see `cnflow.interfaces.Introspectable`.

    Args:
        label: of the executor.
        report: of the interchange about the task; None if it does not answer.
        running: of the manager that holds the task, if one does; None if it does not answer.
        managers: the connected ones.
        blocks: every block, requested ones included.
        pool: sentence on the pool that has the blocks; empty for an executor with blocks of its own.
    """
    coming = [pool] if pool else _coming_blocks(blocks)
    if report is None:
        return [
            f"waits for executor {label!r}, which prepares its image, or whose interchange starts.",
            *coming,
        ]
    if report.holder:
        return [_on_a_manager(report, running, managers)]
    place = f"{_count(report.ahead, 'task')} before it" if report.ahead > 0 else "it is the next"
    if report.ahead < 0:
        place = "it is on its way to or from its interchange"
    return [
        f"waits for a worker of executor {label!r}; {place}.",
        *_waits_for_data(report, managers),
        *_no_slot(report.managers, managers),
        *coming,
    ]


def _on_a_manager(report: StatusReport, running: TaskReport | None, managers: Mapping[ManagerId, ManagerInfo]) -> str:
    info = managers.get(ManagerId(report.holder))
    where = f"manager {report.holder.hex()}"
    if info is not None:
        where += f" on {info.host}, block {info.block}"
    if running is not None and running.rank >= 0:
        return f"has run for {duration(running.seconds)}, in worker {running.rank} of {where}."
    now = next((now for now in report.managers if now.id == report.holder), None)
    if info is None or now is None:
        return f"is with {where}."
    has = f"which has {_count(now.tasks, 'task')} for {_count(info.slots, 'worker')}"
    if running is None:
        return f"is with {where}, {has}. Its last message came {duration(now.silent)} ago, and it does not answer."
    return f"waits for a worker of {where}, {has}."


def _waits_for_data(report: StatusReport, managers: Mapping[ManagerId, ManagerInfo]) -> list[str]:
    """Sentence on the manager that has the task's data, if the task waits for it while others have free workers."""
    if report.data is None:
        return []
    info = managers.get(report.data.manager)
    where = f"manager {report.data.manager.hex()}" + (f" on {info.host}" if info is not None else "")
    size, wait = amount_of_memory(report.data.bytes), duration(report.data.seconds)
    return [f"{size} of its data is on {where}: it waits for a worker there, {wait} at most, before the data is moved."]


def _no_slot(statuses: Sequence[ManagerStatus], managers: Mapping[ManagerId, ManagerInfo]) -> list[str]:
    """Sentences on the connected managers, none of which takes the task."""
    if not statuses:
        return ["No manager is connected."]
    active = [manager for manager in statuses if manager.is_active]
    lines = []
    if active:
        slots = sum(info.slots for manager in active if (info := managers.get(ManagerId(manager.id))))
        tasks = sum(manager.tasks for manager in active)
        capacity = f"{_count(slots, 'worker')} of {_count(len(active), 'manager')}, with {_count(tasks, 'task')}"
        lines.append(f"Connected: {capacity}.")
    draining = sum(manager.is_draining for manager in statuses)
    on_hold = len(statuses) - len(active) - draining
    if draining:
        lines.append(f"Draining, sent no more tasks: {_count(draining, 'manager')}.")
    if on_hold:
        lines.append(f"On hold: {_count(on_hold, 'manager')}.")
    return lines


def _coming_blocks(blocks: Sequence[BlockReport]) -> list[str]:
    """Sentences on the blocks that could run the task and have no manager yet."""
    if not blocks:
        return ["There is no block."]
    coming = [block for block in blocks if not block.nodes and block.state != "draining"]
    lines = [_describe_block(block) for block in coming[:_MOST_BLOCKS]]
    more = len(coming) - len(lines)
    return [*lines, f"To come: {_count(more, 'more block')}."] if more else lines


def _describe_block(block: BlockReport) -> str:
    name = f"Block {block.block} ({short_native(block.native)})" if block.native else f"Block {block.block}"
    message = f": {block.message}" if block.message else ""
    return f"{name} is {block.state}, requested {duration(block.age)} ago{message}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"

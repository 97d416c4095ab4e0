"""Reports on blocks for `cnflow blocks` and `dfk.connected_blocks()`. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.block import Stage
from cnflow.blocks.strategy import none
from cnflow.model.status import BlockReport

if TYPE_CHECKING:
    from collections.abc import Collection

    from cnflow.blocks.block import Block
    from cnflow.blocks.strategy import Strategy
    from cnflow.ids import BlockId
    from cnflow.units import Seconds


_NAMES = re.compile(r"[Bb]lock \S+(?: \(([^()]+)\))?")
"""Id of a block in the words on its end, with its native id if that is known."""


class Delay(NamedTuple):
    """Reasons why the next block is not submitted at once."""

    is_provider_silent: bool
    untried: BlockId | None
    """After failures: the block that must first show that it works."""

    wait: Seconds
    """Until the next submission; not above 0 when nothing failed."""

    failure: str
    """Last words on a block that failed."""


def report_of(block: Block, now: Seconds, delay: Delay) -> BlockReport:
    """Return the report on *block* at the time *now*."""
    message = block.message
    if block.stage is Stage.REQUESTED:
        reason = _reason_of(delay)
        message = reason + (message or delay.failure) if reason else message
    elif block.stage is Stage.RUNNING and block.connected_at is None:
        message = message or "no manager has connected yet"
    elif block.stage is Stage.RUNNING and not block.managers:
        message = message or "no manager is connected"
    age = max(0.0, now - block.requested_at)
    line = _one_line(message)
    return BlockReport(block.id, block.native or "", block.stage.value, block.managers, block.slots, None, age, line)


def no_block_works(failures: Collection[str], number: int) -> str:
    """Return the error of tasks that wait for a block, from the last *failures* of *number* in a row."""
    *earlier, last = failures
    if not earlier:
        return last
    told, history = {_kind_of(last)}, [f"{number} blocks failed one after the other."]
    for reason in reversed(earlier):
        if (kind := _kind_of(reason)) not in told:
            told.add(kind)
            history.append(f"Before that: {reason}")
    if len(history) == 1:
        history = [f"{number} blocks failed one after the other, for the same reason."]
    return "\n".join([last, " ".join(history[:2]), *history[2:]])


def no_block_is_allowed(label: str, strategy: Strategy) -> str:
    """Return the error of tasks of executor *label*, whose settings allow no block."""
    if strategy is none:
        what = "strategy='none' keeps init_blocks=0 blocks. Set init_blocks=1 or more, or Config(strategy='simple')"
    else:
        what = "max_blocks=0 allows none. Set max_blocks=1 or more"
    return f"Executor {label!r} gets no block: {what}."


def ran_no_task(reason: str, label: str) -> str:
    """Return words on a block that ended, for *reason*, without having run a task, though tasks waited for it."""
    return (
        f"{reason}\nIts managers were connected, and ran no task, though tasks of executor {label!r} waited. A manager "
        "takes no task that cannot end before its block does, nor any in the last part of the block (grace_period, a "
        "quarter of the block's life at most): set a longer walltime of the provider, or shorter ones of the tasks."
    )


def submission_hangs(label: str, blocks: Collection[str], seconds: float) -> str:
    """Return the warning about a submission of *blocks* that is out for long."""
    names = ", ".join(blocks)
    return (
        f"The provider of executor {label!r} has not answered for {seconds:.0f} s to the submission of block {names}, "
        f"and no other block can be asked for meanwhile. Look whether its system is overloaded or cannot be reached."
    )


def _kind_of(reason: str) -> str:
    """Return *reason* without the names of its block, by which the same failure differs from block to block."""
    found = _NAMES.search(reason)
    if found is None:
        return reason
    rest = reason.replace(found[0], "", 1)
    return re.sub(rf"\S*{re.escape(found[1])}\S*", "", rest) if found[1] else rest


def _one_line(text: str) -> str:
    """Return the first line, and behind a colon the last one too: in a quoted log that line explains most."""
    first, *others = text.splitlines() or [""]
    return f"{first} {others[-1].strip()}" if others and first.endswith(":") else first.rstrip()


def _reason_of(delay: Delay) -> str:
    if delay.is_provider_silent:
        return "waits until its provider answers again. "
    if delay.untried is not None:
        return f"backs off until block {delay.untried} works. "
    return f"backs off, asked for in {delay.wait:.0f} s: " if delay.wait > 0 else ""

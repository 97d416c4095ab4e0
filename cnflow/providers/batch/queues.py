"""Checks that the queue of the settings exists and is open, by the scheduler's own list; pure.

::

    QUEUES[kind].command(settings) ──> sinfo, qstat -Q, bqueues, qconf -sql ──> queues_in ──> problem_with
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.text import did_you_mean, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.config.batch import BatchSettings
    from cnflow.interfaces.channel import Completed

_DAYS = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")


@dataclass(frozen=True)
class Queue:
    """A queue, as the scheduler lists it."""

    is_open: bool = True
    longest: float | None = None
    """Seconds that a job may have; None is no limit, or not told."""


@dataclass(frozen=True)
class QueueList:
    """A scheduler's list of queues.

    Attributes:
        option: of the settings, that names the queue.
        command: that prints the list.
        parse: reads it.
    """

    option: str
    command: Callable[[BatchSettings], list[str]]
    parse: Callable[[str], Mapping[str, Queue]]


def problem_with(settings: BatchSettings, done: Completed) -> str:
    """What is wrong with the queue of *settings*, and the user's next step; empty if nothing is, or it is not known."""
    queues = QUEUES[settings.kind]
    wanted = getattr(settings, queues.option)
    listed = queues.parse(done.stdout) if done.exit_code == 0 else {}
    if not listed or not wanted:
        return ""
    noun = queues.option
    for name in str(wanted).split(","):
        base = name.partition("@")[0]
        if base not in listed:
            return f"There is no {noun} {base!r}.{did_you_mean(base, listed)} There are: {', '.join(sorted(listed))}."
        queue = listed[base]
        if not queue.is_open:
            others = ", ".join(sorted(each for each, other in listed.items() if other.is_open)) or "none is open"
            return f"The {noun} {base!r} takes or starts no jobs now.\nChoose another one: {others}."
        if queue.longest is not None and settings.walltime is not None and settings.walltime > queue.longest:
            return (
                f"walltime is {duration(settings.walltime)}, and the {noun} {base!r} allows only "
                f"{duration(queue.longest)}.\n"
                f"Lower walltime=, or choose another {noun}."
            )
    return ""


def _slurm(output: str) -> dict[str, Queue]:
    """Of ``sinfo -o "%P|%a|%l"``: https://slurm.schedmd.com/sinfo.html#OPT_format (Slurm 25.05)."""
    rows = [line.split("|") for line in output.splitlines() if line.count("|") == 2]  # noqa: PLR2004 - three columns
    return {name.rstrip("*"): Queue(state == "up", _seconds(limit)) for name, state, limit in rows}


def _pbs(output: str) -> dict[str, Queue]:
    """Of ``qstat -Q`` (PBS Professional 2022.1, Torque 6.1): Queue Max Tot Ena Str ... below a line of dashes."""
    _, _, below = output.partition("---\n")
    rows = [line.split() for line in below.splitlines() if line.split()]
    return {row[0]: Queue(row[3:5] == ["yes", "yes"]) for row in rows if len(row) >= 5}  # noqa: PLR2004 - columns


def _lsf(output: str) -> dict[str, Queue]:
    """Of ``bqueues``: QUEUE_NAME PRIO STATUS ... (Spectrum LSF 10.1)."""
    rows = [line.split() for line in output.splitlines() if line.split()]
    return {row[0]: Queue(row[2] == "Open:Active") for row in rows[1:] if len(row) > 2}  # noqa: PLR2004 - columns


def _grid_engine(output: str) -> dict[str, Queue]:
    """Of ``qconf -sql``, a name in each line (Son of Grid Engine 8.1.9)."""
    return {line.strip(): Queue() for line in output.splitlines() if line.strip()}


def _seconds(limit: str) -> float | None:
    """Seconds of Slurm's ``days-hours:minutes:seconds``."""
    found = _DAYS.fullmatch(limit.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _sinfo(settings: BatchSettings) -> list[str]:
    clusters = getattr(settings, "clusters", None)
    return ["sinfo", *([f"--clusters={clusters}"] if clusters else []), "--noheader", "--format=%P|%a|%l"]


QUEUES: Mapping[str, QueueList] = {
    "slurm": QueueList("partition", _sinfo, _slurm),
    "pbspro": QueueList("queue", lambda _: ["qstat", "-Q"], _pbs),
    "torque": QueueList("queue", lambda _: ["qstat", "-Q"], _pbs),
    "lsf": QueueList("queue", lambda _: ["bqueues"], _lsf),
    "gridengine": QueueList("queue", lambda _: ["qconf", "-sql"], _grid_engine),
}
"""By the kind of the settings; HTCondor has no queues, and Cobalt's list needs none of its machines any more."""

"""``make soak-serving``: a million requests to one server, whose memory must stay as it is after the first fifth.

Each answer is checked. It prints a line a tenth, with the memory of each kind of process: server, front, interchange,
manager, worker. It ends with 1 if a request failed, or if the memory of one kind grows steadily (`is_flat`).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import TYPE_CHECKING

from benchmarks.serving.__main__ import load, target_of
from benchmarks.serving.load import Plan
from benchmarks.serving.servers import CNFLOW, Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PARTS = 10
WARM = 2
"""Parts in which caches and pools of the allocators fill: the memory after them is compared."""

GROWTH = 8 << 20
"""Bytes by which the line through the memory of one kind may rise from the first to the last part compared."""


def is_flat(memory: Sequence[int]) -> bool:
    """Return True if *memory*, after each part, does not grow beyond `GROWTH`.

    The slope is the median of those between all pairs (Theil-Sen): one garbage collection that came late is no growth,
    and a leak of some bytes a request is one although each step is small.
    """
    return rise(memory) <= GROWTH


def rise(memory: Sequence[int]) -> float:
    """Bytes that the line through *memory* after the warm parts rises from its first part to its last."""
    compared = memory[WARM:]
    pairs = [(first, later) for first in range(len(compared)) for later in range(first + 1, len(compared))]
    if not pairs:
        return 0.0
    return statistics.median((compared[b] - compared[a]) / (b - a) for a, b in pairs) * (len(compared) - 1)


def verdicts(parts: Sequence[Mapping[str, int]]) -> list[str]:
    """Return a line for each kind of process of *parts*, the memory by kind after each part; 'grows' names a leak."""
    lines = []
    for kind in parts[-1]:
        memory = [part.get(kind, 0) for part in parts]
        word = "flat" if is_flat(memory) else "grows"
        lines.append(f"{kind}: {word}, {memory[-1] / 1e6:.1f} MB, {rise(memory) / 1e6:+.1f} MB after part {WARM}")
    return lines


def main() -> int:
    """Send the requests, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--callers", type=int, default=64)
    options = parser.parse_args()
    memory: list[dict[str, int]] = []
    failed = 0
    with Server(CNFLOW, "light", "--batch", "--fronts", "2") as server:
        target, wanted = target_of(server.url, "light")
        server.wait(target)
        for part in range(PARTS):
            figures = load(target, wanted, Plan(options.callers, 3600.0, options.requests // PARTS))
            failed += figures.failed + options.requests // PARTS - figures.answered
            memory.append(server.memory_by_kind())
            print(
                f"{(part + 1) * options.requests // PARTS:>9,} requests: {figures.rate:,.0f}/s, p99 "
                f"{1e3 * figures.percentile(0.99):.1f} ms, {failed} failed, MB:",
                *(f"{kind} {size / 1e6:.1f}" for kind, size in memory[-1].items()),
                *figures.failures,
                flush=True,
            )
    lines = verdicts(memory)
    print("\n".join([f"{failed} of {options.requests:,} failed", *lines]))
    return 1 if failed or any(": grows" in line for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())

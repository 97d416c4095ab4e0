"""``make soak-serving``: a million requests to one server, whose memory must stay as it is after the first tenth.

Each answer is checked. It prints a line a tenth, and ends with 1 if a request failed or the memory grew.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.serving.__main__ import load, target_of
from benchmarks.serving.load import Plan
from benchmarks.serving.servers import CNFLOW, Server

PARTS = 10
GROWTH = 16 << 20
"""Bytes by which all processes together may grow after the first tenth: allocators keep what they once had."""


def main() -> int:
    """Send the requests, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--callers", type=int, default=64)
    options = parser.parse_args()
    memory, failed = [], 0
    with Server(CNFLOW, "light", "--batch") as server:
        target, wanted = target_of(server.url, "light")
        server.wait(target)
        for part in range(PARTS):
            figures = load(target, wanted, Plan(options.callers, 600.0, options.requests // PARTS))
            failed += figures.failed + options.requests // PARTS - figures.answered
            memory.append(server.memory())
            print(
                f"{(part + 1) * options.requests // PARTS:>9,} requests: {figures.rate:,.0f}/s, p99 "
                f"{1e3 * figures.percentile(0.99):.1f} ms, {failed} failed, {memory[-1] / 1e6:.1f} MB",
                *figures.failures,
                flush=True,
            )
    grown = memory[-1] - memory[0]
    print(f"{failed} of {options.requests:,} failed; memory {grown / 1e6:+.1f} MB after the first tenth")
    return 1 if failed or grown > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())

"""``make bench-serving``: cnflow's serving beside its peers, on the same models, in one run; bounded load on loopback.

For each model, with and without batches, the systems take turns: each is started, asked by one caller (latency at low
load), then by more and more callers; what counts is the most requests a second whose p99 is below the limit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving import model, servers
from benchmarks.serving.load import Figures, Generator, Plan, Target
from benchmarks.serving.servers import CNFLOW, SYSTEMS, Server

CALLERS = (8, 32, 64, 128)
BODIES = 16
LIMIT = 0.05
"""p99 in seconds up to which requests a second count."""

AIM = 2.0
"""Times the requests a second of the best peer."""


class Result(NamedTuple):
    """What was measured of one system with one model."""

    system: str
    model: str
    is_batched: bool
    p50_ms: float
    per_s: float
    """Most requests a second below the limit; 0 if there were none."""

    callers: int
    most_per_s: float
    """Most requests a second at any latency."""

    failed: int
    problem: str = ""


def main() -> int:
    """Measure, print the table and the aims; return 1 if a request of cnflow failed."""
    options = _arguments()
    missing = servers.install(options.only)
    results: list[Result] = []
    begin = time.monotonic()
    for name in options.models:
        for is_batched in (False, True):
            for system in options.only:
                print(f"[{time.monotonic() - begin:4.0f} s] {name}, {_kind(is_batched)}: {system}", file=sys.stderr)
                results.append(_measure(system, name, options.seconds, missing.get(system, ""), is_batched=is_batched))
    graphs = {name: _graph(name) for name in options.models} if CNFLOW in options.only else {}
    if options.json:
        options.json.write_text(
            json.dumps({"results": [each._asdict() for each in results], "graph": graphs}, indent=2)
        )
    print(table(results))
    print("\n".join(aims(results, graphs)))
    return 1 if any(each.failed or each.problem for each in results if each.system == CNFLOW) else 0


def table(results: list[Result]) -> str:
    """Return the results as a table in Markdown."""
    lines = [
        f"| model | | system | p50 of one, ms | requests/s at p99 < {LIMIT * 1e3:g} ms | callers | most/s | failed |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for each in results:
        figures = f"{each.p50_ms:.2f} | {each.per_s:,.0f} | {each.callers} | {each.most_per_s:,.0f} | {each.failed}"
        lines.append(f"| {each.model} | {_kind(each.is_batched)} | {each.system} | {each.problem or figures} |")
    return "\n".join(lines)


def aims(results: list[Result], graphs: dict[str, dict[str, float]]) -> list[str]:
    """Return a line for each aim, with what was reached."""
    lines = []
    for name, is_batched in dict.fromkeys((each.model, each.is_batched) for each in results):
        mine = {each.system: each for each in results if (each.model, each.is_batched) == (name, is_batched)}
        ours = mine.pop(CNFLOW, None)
        best = max((each for each in mine.values() if each.per_s), key=lambda each: each.per_s, default=None)
        if ours is not None and best is not None:
            ratio = ours.per_s / best.per_s
            lines.append(
                f"{name}, {_kind(is_batched)}: {ratio:.2f} x {best.system} (aim {AIM:g}): {_met(ratio >= AIM)}"
            )
    for name, graph in graphs.items():
        added, over = graph["graph_adds_ms"], graph["http_adds_ms"]
        lines.append(f"{name}: a call in the graph adds {added:.2f} ms to the function (aim 1): {_met(added < 1)}")
        lines.append(f"{name}: HTTP adds {over:.2f} ms to that (aim 2): {_met(over < 2)}")  # noqa: PLR2004
    return lines


def target_of(url: str, name: str) -> tuple[Target, list[bytes]]:
    """Return requests of one row each, and what must be in the answer of each."""
    rows = model.inputs(BODIES)
    bodies = [json.dumps({"rows": [row]}).encode() for row in rows]
    return Target(url, bodies), [f"[{each}]".encode() for each in model.predict_with(name, rows)]


def load(target: Target, wanted: list[bytes], plan: Plan) -> Figures:
    """Send *plan*, and check each answer."""

    def check(index: int, status: int, body: bytes) -> str:
        if status != 200:  # noqa: PLR2004 - OK
            return f"{status} {body[:120]!r}"
        return "" if wanted[index] in body.replace(b" ", b"") else f"wrong answer {body[:60]!r}"

    return Generator(target, plan, check).run()


def _measure(system: str, name: str, seconds: float, missing: str, *, is_batched: bool) -> Result:
    nothing = Result(system, name, is_batched, 0.0, 0.0, 0, 0.0, 0)
    if missing:
        return nothing._replace(problem=f"not installed: {missing}")
    try:
        with Server(system, name, *(["--batch"] if is_batched else [])) as server:
            target, wanted = target_of(server.url, name)
            server.wait(target)
            load(target, wanted, Plan(8, 1.0))  # warm
            alone = load(target, wanted, Plan(1, seconds))
            found = {callers: load(target, wanted, Plan(callers, seconds)) for callers in CALLERS}
    except RuntimeError as error:
        return nothing._replace(problem=f"does not start: {str(error)[-200:]}".replace("\n", " "))
    good = {callers: each for callers, each in found.items() if each.percentile(0.99) < LIMIT and not each.failed}
    best = max(good, key=lambda callers: good[callers].rate, default=0)
    return Result(
        system,
        name,
        is_batched,
        1e3 * alone.percentile(0.5),
        good[best].rate if best else 0.0,
        best,
        max(each.rate for each in found.values()),
        alone.failed + sum(each.failed for each in found.values()),
    )


def _graph(name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.serving.ours", "--model", name, "--graph", "1000"]
    done = subprocess.run(command, cwd=servers.ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _kind(is_batched: bool) -> str:  # noqa: FBT001 - a column of the table
    return "batches" if is_batched else "one by one"


def _met(is_met: bool) -> str:  # noqa: FBT001 - a column of the table
    return "met" if is_met else "not met"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--models", nargs="+", choices=list(model.WIDTHS), default=list(model.WIDTHS))
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

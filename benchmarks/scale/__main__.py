"""``make scale``: cost of a task in the interchange, by number of managers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.scale.decisions import KINDS, simulate_decisions
from benchmarks.scale.limits import raise_open_files
from benchmarks.scale.simulation import Plan, Row, simulate
from benchmarks.table import align

FEW = 10
"""Number of managers that the cost per task is compared with."""

_PERIOD = 30.0
"""Seconds between the heartbeats of a real manager."""

HEADS = (
    ("", "managers"),
    ("", "tasks"),
    ("registered", "in s"),
    ("", "tasks/s"),
    ("CPU us", "per task"),
    ("times that", f"of {FEW}"),
    ("tasks", "a message"),
    ("idle", "MB"),
    ("KB per", "manager"),
    ("peak", "MB"),
    ("CPU us per", "heartbeat"),
    ("of a core", f"at {_PERIOD:.0f} s"),
)


def main() -> None:
    """Simulate each number of managers, and print the table."""
    options = _arguments()
    if options.decisions:
        _print_decisions(options)
        return
    plan = Plan(options.tasks, options.slots, options.window, options.period, options.processes, options.encrypted)
    files = raise_open_files()
    rows: list[Row] = []
    for managers in options.managers:
        if managers + 100 > files:
            print(
                f"{managers} managers need as many open files, {files} are allowed. Run: ulimit -Hn",
                file=sys.stderr,
            )
            continue
        print(f"{managers} managers, {plan.tasks} tasks", file=sys.stderr)
        rows.append(simulate(managers, plan))
    print("\n".join(align([list(head) for head in zip(*HEADS, strict=True)] + _cells(rows), 2, lefts=())))
    if options.json:
        options.json.write_text(json.dumps({"plan": plan._asdict(), "rows": [row._asdict() for row in rows]}, indent=1))


def _print_decisions(options: argparse.Namespace) -> None:
    """Run the state of the interchange alone, and print what its decisions cost."""
    heads = ("tasks", "managers", "ended", "tasks/s", "us per task", "longest ms", "event", "round us")
    print(("{:>12}" * len(heads)).format(*heads))
    for row in simulate_decisions(options.decisions, options.managers[-1], options.tasks, options.seconds):
        cells = (
            row.kind,
            f"{row.managers:,}",
            f"{row.ended:,}",
            f"{row.ended / row.cpu_s:,.0f}",
            f"{row.cpu_s / max(row.ended, 1) * 1e6:.1f}",
            f"{row.longest_ms:.1f}",
            row.longest,
            f"{row.typical_us:.0f}",
        )
        print(("{:>12}" * len(cells)).format(*cells), "" if row.is_complete else f"(ended after {options.seconds:g} s)")


def _cells(rows: list[Row]) -> list[list[str]]:
    base = next((row.cpu_us for row in rows if row.managers == FEW), 0.0)
    return [
        [
            f"{row.managers:,}",
            f"{row.tasks:,}",
            f"{row.registered_s:.1f}",
            f"{row.per_s:,.0f}",
            f"{row.cpu_us:.1f}",
            f"{row.cpu_us / base:.2f}" if base else "-",
            f"{row.messages:,.1f}",
            f"{row.idle_mb:.0f}",
            f"{row.manager_kb:.1f}",
            f"{row.peak_mb:,.0f}",
            f"{row.beat_us:.0f}",
            f"{row.managers * row.beat_us / 1e4 / _PERIOD:.1f} %",
        ]
        for row in rows
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--managers", type=int, nargs="+", default=[1, 10, 100, 1_000, 10_000])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--slots", type=int, default=64, help="slots of each manager")
    parser.add_argument("--window", type=int, default=128, help="tasks that a manager holds, running and waiting")
    parser.add_argument("--period", type=float, default=5.0, help="seconds between heartbeats")
    parser.add_argument("--processes", type=int, default=2, help="processes that simulate managers")
    parser.add_argument(
        "--decisions",
        nargs="*",
        choices=KINDS,
        help=f"run the state of the interchange alone, in simulated time, with tasks of these kinds: {' '.join(KINDS)}",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU time of each kind of --decisions at most")
    parser.add_argument("--encrypted", action="store_true", help="CURVE between interchange and managers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures")
    options = parser.parse_args()
    options.decisions = list(KINDS) if options.decisions == [] else options.decisions
    return options


if __name__ == "__main__":
    main()

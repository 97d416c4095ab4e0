"""Formats figures as aligned text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report import COLUMNS, Column
from benchmarks.systems import HTEX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.aims import Aim
    from benchmarks.report import Report


def figures(report: Report, nominal: dict[str, int]) -> str:
    """Format a line of figures for each system, with a line below it that compares cnflow HTEX.

    Args:
        report: figures of the run.
        nominal: number of tasks of each work; a figure of fewer tasks is marked, and listed below.
    """
    columns = [c for c in COLUMNS if any(report.best(system, c.key) is not None for system in report.samples)]
    rows = [
        ["", *(c.head.partition("|")[0] for c in columns)],
        ["system", *(c.head.partition("|")[2] for c in columns)],
    ]
    for system in report.samples:
        if any(report.best(system, c.key) is not None for c in columns):
            rows.append([system, *(_figure(report, system, c, nominal) for c in columns)])
            times = [_times(report, system, c) for c in columns]
            if system != HTEX and any(times):
                rows.append(["", *times])
    return "\n".join([*align(rows, 2), "", _LEGEND, *_fewer(report, nominal), *_problems(report)])


_LEGEND = (
    f"N x: times that {HTEX} is better than this system (above 1: cnflow is better). Best of the repeats, two workers "
    "each.\n* fewer tasks than the others, so that it ends in time:"
)


def aims(found: Sequence[Aim]) -> str:
    """Format a line for each aim."""
    rows = [["aim", "wanted", "measured", ""]]
    for aim in found:
        measured = "-" if aim.measured is None else f"{aim.measured:,.2f}"
        rows.append([aim.what, f"{'>=' if aim.at_least else '<='} {aim.wanted:,.4g}", measured, aim.verdict])
    return "\n".join(align(rows, 1, lefts=(0, 3)))


def align(rows: Sequence[Sequence[str]], heads: int, lefts: Sequence[int] = (0,)) -> list[str]:
    """Align the columns *lefts* to the left and all others to the right; draw a rule under *heads* lines."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[n]) if n in lefts else cell.rjust(widths[n]) for n, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(heads, "-" * (sum(widths) + 2 * len(widths) - 2))
    return lines


def _figure(report: Report, system: str, column: Column, nominal: dict[str, int]) -> str:
    value = report.best(system, column.key)
    if value is None:
        return "-"
    work = column.key.partition(".")[0]
    mark = "*" if (report.best(system, f"{work}.n") or nominal.get(work, 0)) < nominal.get(work, 0) else ""
    return f"{value * column.scale:,.{column.places}f}{mark}"


def _times(report: Report, system: str, column: Column) -> str:
    ours_per_theirs = report.ratio(HTEX, system, column.key)
    if not ours_per_theirs:
        return ""
    return f"{ours_per_theirs if column.more_is_better else 1 / ours_per_theirs:,.2f} x"


def _fewer(report: Report, nominal: dict[str, int]) -> list[str]:
    found = []
    for system in report.samples:
        counts = {work: report.best(system, f"{work}.n") for work in nominal}
        small = [f"{work} {n:,.0f}" for work, n in counts.items() if n is not None and n < nominal[work]]
        if small:
            found.append(f"  {system}: {', '.join(small)}")
    return found or ["  none"]


def _problems(report: Report) -> list[str]:
    rows = [
        f"  {system}, {work}: {problem}"
        for system, by_work in report.problems.items()
        for work, problem in by_work.items()
    ]
    return ["Not measured, or not every time:", *rows] if rows else []

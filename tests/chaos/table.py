"""Formats a report as a table, for a terminal or for a page of the documentation."""

import re

from soak import Report, Row

BEGIN, END = "<!-- written by make chaos -->", "<!-- end of what make chaos wrote -->"
HEAD = ("fault", "times", "tasks that ran there", "lost", "doubled", "median recovery")


def as_text(report: Report) -> str:
    """Format *report* for a terminal."""
    rows = [HEAD, *map(_cells, report.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", _summary(report), *(error.splitlines()[0] for error in report.errors[:10])])


def replace_table(report: Report, seed: int, page: str) -> str:
    """Return *page* with the table of *report* between its marks."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_cells, report.rows)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    new = f"{BEGIN}\n{table}\n\n{_summary(report)} Seed {seed}.\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: new, page, flags=re.DOTALL)


def _cells(row: Row) -> tuple[str, ...]:
    recovery = "" if row.recovery is None else f"{row.recovery:.2f} s"
    return (row.fault, str(row.times), str(row.hit), str(row.lost), str(row.doubled), recovery)


def _summary(report: Report) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.kinds.items()))
    strikes = sum(row.times for row in report.rows)
    return (
        f"{report.tasks:,} tasks ({kinds}) and {strikes} faults in {report.seconds:.0f} s: {len(report.lost)} lost, "
        f"{len(report.doubled)} doubled, {len(report.wrong)} with a wrong value, {len(report.left)} processes or "
        f"containers left. {report.repeated} tasks finished more than once on workers, and were reported once."
    )

"""An account as a table, for a terminal and for a page of the documentation."""

import re

from soak import Account, Row

BEGIN, END = "<!-- written by make chaos -->", "<!-- end of what make chaos wrote -->"
HEAD = ("fault", "times", "tasks that ran there", "lost", "doubled", "median recovery")


def as_text(account: Account) -> str:
    """For a terminal."""
    rows = [HEAD, *map(_cells, account.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", _sum(account), *account.slips[:10]])


def written(account: Account, seed: int, page: str) -> str:
    """*page* with the table of *account* between its marks."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_cells, account.rows)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    new = f"{BEGIN}\n{table}\n\n{_sum(account)} Seed {seed}.\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: new, page, flags=re.DOTALL)


def _cells(row: Row) -> tuple[str, ...]:
    recovery = "" if row.recovery is None else f"{row.recovery:.2f} s"
    return (row.fault, str(row.times), str(row.hit), str(row.lost), str(row.doubled), recovery)


def _sum(account: Account) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(account.kinds.items()))
    strikes = sum(row.times for row in account.rows)
    return (
        f"{account.tasks:,} tasks ({kinds}) and {strikes} faults in {account.seconds:.0f} s: {len(account.lost)} lost, "
        f"{len(account.doubled)} doubled, {len(account.wrong)} with a wrong value, {len(account.left)} processes or "
        f"containers left. {account.again} tasks came to their end more than once on workers, and were heard once."
    )

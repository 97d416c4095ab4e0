"""HTML of tables and states, for notebooks; no style sheet is needed. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

COLOURS: Mapping[str, str] = {
    "waiting": "#757575",
    "launched": "#1565c0",
    "running": "#1565c0",
    "staging_in": "#00838f",
    "staging_out": "#00838f",
    "done": "#2e7d32",
    "failed": "#c62828",
    "dependency_failed": "#ad1457",
    "cancelled": "#ef6c00",
}
"""Colour of each state of a task, readable on white and on black."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """A table of text; the columns *right* are aligned to the right. A cell that names a state has its colour."""
    lines = [_row(head, "th", right), *(_row(row, "td", right) for row in rows)]
    return f'<table style="font-variant-numeric:tabular-nums">{"".join(lines)}</table>'


def _row(cells: Sequence[str], tag: str, right: Collection[int]) -> str:
    return f"<tr>{''.join(_cell(text, tag, is_right=n in right) for n, text in enumerate(cells))}</tr>"


def _cell(text: str, tag: str, *, is_right: bool) -> str:
    style = f"text-align:{'right' if is_right else 'left'}"
    if tag == "td" and text in COLOURS:
        style += f";color:{COLOURS[text]}"
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'


def escape(text: str) -> str:
    """*text* without markup."""
    import html  # noqa: PLC0415 - with a table of all entities, which most runs need not load

    return html.escape(text)

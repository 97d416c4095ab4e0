"""Places the nodes of a graph in columns, so that edges point to the right and few of them cross. No I/O.

::

    nodes, edges ──edges that close a cycle are turned──> column of a node: the longest path to it
                                                          │
    row of a node <──the mean row of its neighbours, some sweeps to the right and back──┘

The time is proportional to the number of edges, times the logarithm of the widest column: 10,000 nodes take a fraction
of a second.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SWEEPS = 6
"""Times that rows are sorted by those of their neighbours; later ones change next to nothing."""


class Cell(NamedTuple):
    """Place of a node."""

    column: int
    row: float
    """Those of one column differ by 1 at least; they may be below 0."""


def layout(nodes: Sequence[str], edges: Sequence[tuple[str, str]], sweeps: int = SWEEPS) -> dict[str, Cell]:
    """Return the place of each of *nodes*.

    Args:
        nodes: their ids; the order decides where nothing else does.
        edges: pairs (from, to) of ids; pairs of one id, and of ids that are not in *nodes*, are left out.
        sweeps: see `SWEEPS`.
    """
    known = dict.fromkeys(nodes)
    pairs = [(first, second) for first, second in dict.fromkeys(edges) if first != second]
    pairs = [(first, second) for first, second in pairs if first in known and second in known]
    column_of = _columns(list(known), pairs)
    columns: dict[int, list[str]] = defaultdict(list)
    for node, column in column_of.items():
        columns[column].append(node)
    ordered = _ordered([columns[number] for number in sorted(columns)], pairs, sweeps)
    row = _rows(ordered, pairs)
    return {node: Cell(number, row[node]) for number, column in enumerate(ordered) for node in column}


def _columns(nodes: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Column by node; in the order in which nodes become free of the nodes before them."""
    after: dict[str, list[str]] = defaultdict(list)
    missing = dict.fromkeys(nodes, 0)
    for first, second in edges:
        after[first].append(second)
        missing[second] += 1
    column = dict.fromkeys(nodes, 0)
    free = [node for node in nodes if not missing[node]]
    placed: dict[str, int] = {}
    waiting = iter(nodes)
    while len(placed) < len(nodes):
        if not free:  # a cycle: the first node in it is taken as if nothing were before it
            free.append(next(node for node in waiting if node not in placed))
        node = free.pop()
        placed[node] = column[node]
        for follower in after[node]:
            if follower not in placed:
                column[follower] = max(column[follower], column[node] + 1)
                missing[follower] -= 1
                if not missing[follower]:
                    free.append(follower)
    return {node: placed[node] for node in nodes}


def _ordered(columns: list[list[str]], edges: list[tuple[str, str]], sweeps: int) -> list[list[str]]:
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for first, second in edges:
        before[second].append(first)
        after[first].append(second)
    row = {node: _centred(number, column) for column in columns for number, node in enumerate(column)}
    for sweep in range(sweeps):
        to_the_right = sweep % 2 == 0
        for column in columns if to_the_right else reversed(columns):
            _sort(column, before if to_the_right else after, row)
    return columns


def _sort(column: list[str], neighbours: Mapping[str, list[str]], row: dict[str, float]) -> None:
    """Sort *column* by the mean row of each node's *neighbours*, and note the new rows."""

    def wished(node: str) -> float:
        others = neighbours.get(node)
        return sum(row[other] for other in others) / len(others) if others else row[node]

    column.sort(key=wished)
    row.update((node, _centred(number, column)) for number, node in enumerate(column))


def _rows(columns: list[list[str]], edges: list[tuple[str, str]]) -> dict[str, float]:
    """Row by node: near the mean of those that it needs, with nodes of one column 1 apart at least."""
    before: dict[str, list[str]] = defaultdict(list)
    for first, second in edges:
        before[second].append(first)
    row: dict[str, float] = {}
    for column in columns:
        wished = [_mean([row[one] for one in before[node] if one in row]) for node in column]
        last, placed = -float("inf"), []
        for number, wish in enumerate(wished):
            last = max(last + 1, _centred(number, column) if wish is None else wish)
            placed.append(last)
        pushed = _mean([one - wish for one, wish in zip(placed, wished, strict=True) if wish is not None]) or 0.0
        row.update((node, one - pushed) for node, one in zip(column, placed, strict=True))
    return row


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def _centred(number: int, column: Sequence[str]) -> float:
    return number - (len(column) - 1) / 2

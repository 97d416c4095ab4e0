"""Places the graph of a run on a plane, for the page that draws it. No I/O.

::

    views.Graph ──graph_layout──> column and row of each node ──few nodes: boxes with labels
                                                              └─many: dots; a wide column is wrapped into a block, and
                                                                many columns into lines, as words of a text
                                                                └──> Drawing: lists side by side, short as JSON
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from cnflow.graph_layout import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.monitoring.queries import views

MOST_BOXES = 250
"""Nodes that are drawn as boxes with labels; more are dots."""

ASPECT = 1.7
"""Width by height that a drawing of many nodes aims at: that of most screens."""

_BOX = (230.0, 52.0)
_DOT = (16.0, 16.0)
_GAP = 4
"""Empty columns of dots between two columns of the graph, which the edges cross."""

_MANY_COLUMNS = 200
"""Columns from which on the gap between them is one cell."""

_UNBROKEN = 24
"""Nodes of a column that are not wrapped into a block, if most columns have so few."""

_LINE_GAP = 2
"""Empty rows between two lines."""

_FOLD_COST = 1.0
"""Logarithm of how much smaller a drawing in lines has to be: its edges between lines are long."""

_SORTED_EDGES = 60_000
"""Edges from which on rows are sorted once only: each sweep takes time, and shows no more among so many."""


class Drawing(msgspec.Struct, kw_only=True, frozen=True):
    """A graph with the place of each node. Lists of nodes have the same order."""

    ids: list[str]
    labels: list[str]
    apps: list[str]
    """Names; the first is the most frequent."""

    app: list[int]
    """Index in `apps`, by node."""

    states: list[dict[str, int]]
    tasks: list[int | None]
    x: list[float]
    y: list[float]
    edges: list[int]
    """From, to (indices of nodes) and weight, one edge after the other."""

    grouping: str
    is_cut: bool
    is_estimated: bool
    """As of `views.Graph`."""

    has_boxes: bool
    width: float
    """Of a node's cell."""

    height: float


def drawn(graph: views.Graph) -> Drawing:
    """Return *graph* with places."""
    ids = [node.id for node in graph.nodes]
    index = {node: number for number, node in enumerate(ids)}
    edges = [edge for edge in graph.edges if edge[0] in index and edge[1] in index]
    has_boxes = len(ids) <= MOST_BOXES
    places = placed(ids, [(first, second) for first, second, _ in edges], has_boxes=has_boxes)
    apps = _by_count([node.app for node in graph.nodes])
    number_of = {app: number for number, app in enumerate(apps)}
    width, height = _BOX if has_boxes else _DOT
    return Drawing(
        ids=ids,
        labels=[node.label for node in graph.nodes],
        apps=apps,
        app=[number_of[node.app] for node in graph.nodes],
        states=[node.states for node in graph.nodes],
        tasks=[node.task for node in graph.nodes],
        x=[round(x, 1) for x, _ in places],
        y=[round(y, 1) for _, y in places],
        edges=[part for first, second, weight in edges for part in (index[first], index[second], weight)],
        grouping=graph.grouping,
        is_cut=graph.is_cut,
        is_estimated=graph.is_estimated,
        has_boxes=has_boxes,
        width=width,
        height=height,
    )


def placed(nodes: Sequence[str], edges: Sequence[tuple[str, str]], *, has_boxes: bool) -> list[tuple[float, float]]:
    """Return the place of each of *nodes*: the middle of its cell.

    Args:
        nodes: ids.
        edges: pairs of ids.
        has_boxes: a node is a box with a label; else a dot.
    """
    cells = layout(nodes, edges, sweeps=1) if len(edges) > _SORTED_EDGES else layout(nodes, edges)
    columns: dict[int, list[str]] = {}
    for node in sorted(nodes, key=lambda node: cells[node].row):
        columns.setdefault(cells[node].column, []).append(node)
    ordered = [columns[number] for number in sorted(columns)]
    if has_boxes and max(map(len, ordered), default=0) <= math.sqrt(MOST_BOXES) * 2:
        width, height = _BOX
        return [(cells[node].column * width, cells[node].row * height) for node in nodes]
    by_node = _in_blocks(ordered, *(_BOX if has_boxes else _DOT), gap=0.3 if has_boxes else _GAP)
    return [by_node[node] for node in nodes]


def _in_blocks(columns: list[list[str]], width: float, height: float, *, gap: float) -> dict[str, tuple[float, float]]:
    """Place each column as a block of cells, and blocks beside each other, in lines where they are many."""
    if len(columns) > _MANY_COLUMNS:
        gap = min(gap, 1.0)
    rows, lines = _rows_and_lines([len(column) for column in columns], width / height, gap)
    widths = [math.ceil(len(column) / rows) + gap for column in columns]
    most = sum(widths) * width / lines
    result: dict[str, tuple[float, float]] = {}
    left, top = 0.0, 0.0
    for column, cells in zip(columns, widths, strict=True):
        if left and left + (cells - gap) * width > most * 1.02:
            left, top = 0.0, top + (rows + _LINE_GAP) * height
        high = min(len(column), rows)
        for number, node in enumerate(column):
            across, down = divmod(number, rows)
            result[node] = (left + across * width, top + (down - (high - 1) / 2) * height)
        left += cells * width
    return result


def _rows_and_lines(counts: list[int], cell: float, gap: float) -> tuple[int, int]:
    """Return the rows of a block and the lines of blocks with which the whole is small, and shaped as `ASPECT`.

    Args:
        counts: nodes by column.
        cell: a cell's width by its height.
        gap: cells between columns.
    """
    best, least = (1, 1), math.inf
    most = max(counts, default=1)
    rows = min(_UNBROKEN, sorted(counts)[len(counts) * 9 // 10]) if counts else 1
    while rows <= most:
        across = sum(math.ceil(count / rows) + gap for count in counts)
        wished = math.sqrt(across * cell / ASPECT / (rows + _LINE_GAP))
        lines = max(1, min(round(wished), len(counts)))
        down = lines * rows + (lines - 1) * _LINE_GAP
        width = max(across / lines, math.ceil(most / rows))  # a block is not broken
        shape = abs(math.log(width * cell / down / ASPECT))
        cost = math.log(width * down) + 2 * shape + (_FOLD_COST if lines > 1 else 0.0)
        if cost < least:
            best, least = (rows, lines), cost
        rows = max(rows + 1, int(rows * 1.1))
    return best


def _by_count(names: Sequence[str]) -> list[str]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))

"""`cnflow.graph`: draws the graph of the loaded run as SVG, in a notebook or into a file.

::

    records of the run ─────────────┐
                                    ├──> Graph ──more than LIMIT nodes: by app, or by app and state──> layout ──> SVG
    database, with monitoring ──────┘
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from cnflow.config.switches import settings_of
from cnflow.dataflow import loaded_run
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.graph_layout import layout
from cnflow.html_tables import COLOURS, escape
from cnflow.monitoring.queries.views import Graph, GraphNode
from cnflow.monitoring.store.endpoint import endpoint_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.config import MonitoringHub
    from cnflow.dataflow import DataFlowKernel
    from cnflow.dataflow.task_record import TaskRecord

Grouping = Literal["", "none", "app", "app and state"]

LIMIT = 200
"""Tasks that are drawn one by one, where no grouping is asked for."""

LARGEST = 2_000
"""Nodes that a drawing has, at most: a browser shows no more of them in a reasonable time."""

PATIENCE = 5.0
"""Seconds that the database gets to have the tasks that are over."""

WIDTH, HEIGHT = 172, 34
"""Size of a node, in pixels."""

COLUMN, ROW = 232, 46
"""Distances between columns and rows."""

_LETTERS = 25
"""Characters that fit in a node."""


def graph(*, grouping: Grouping = "") -> GraphDrawing:
    """Draw the tasks of the loaded run, and which needs the result of which.

    A notebook shows the drawing where it is the value of a cell; ``save`` writes it into a file. Each node has the
    colour of its task's state; a group has a bar with a part for each state. Finished tasks are among them with
    ``Config(monitoring=True)``, from the database, or with ``Config(garbage_collect=False)``.

    Args:
        grouping: ``none`` draws each task, ``app`` a node for each app, ``app and state`` one for each app and state.
            By default, `LIMIT` tasks and fewer are drawn one by one, more by app.

    Raises:
        NoDataFlowKernelError: nothing is loaded.
        UnknownNameError: there is no such grouping.
    """
    run = loaded_run.require("graph()")
    if grouping not in get_args(Grouping):
        raise UnknownNameError("grouping", grouping, [each for each in get_args(Grouping) if each])
    missing = run.task_count - len(run.tasks)
    monitoring = settings_of(run.config.monitoring)
    remark = f"{missing} of {run.task_count} tasks are missing" if missing else ""
    if missing and monitoring is not None:
        try:
            return GraphDrawing(_recorded_graph(run, monitoring, grouping))
        except ConfigurationError as error:  # the run may be so young that it is not in the database
            remark += f", which the database of monitoring does not have yet. {error}"
    elif missing:
        remark += (
            ": the run does not keep finished ones. Config(garbage_collect=False) does, and Config(monitoring=True) "
            "records them."
        )
    return GraphDrawing(graph_of(_records_of(run), grouping), remark)


def _recorded_graph(run: DataFlowKernel, settings: MonitoringHub, grouping: Grouping) -> Graph:
    """Return the graph of *run* from its database, which is behind the run by a second or so: wait for that."""
    url = endpoint_of(settings, Path(run.run_dir).parent)
    finished = run.task_count - len(run.tasks)
    deadline = time.monotonic() + PATIENCE
    while True:
        is_late = time.monotonic() > deadline
        try:
            found = _read_graph(url, run, grouping, 0 if is_late else finished)
        except ConfigurationError:
            if is_late:
                raise
        else:
            if found is not None:
                return found
        time.sleep(0.2)


def _read_graph(url: str, run: DataFlowKernel, grouping: Grouping, finished: int) -> Graph | None:
    """Return the graph of *run*, or None if the database has fewer than *finished* tasks that are over."""
    from cnflow.monitoring.queries.reader import Reader  # noqa: PLC0415 - with packages of the extra "monitoring"

    reader = Reader(url)
    try:
        view = reader.run(run.run_id)
        if view.done + view.failed + view.cancelled < finished:
            return None
        chosen = grouping or ("none" if run.task_count <= LIMIT else "app")
        return reader.graph(run.run_id, grouping=chosen, limit=LARGEST)
    finally:
        reader.close()


def _records_of(run: DataFlowKernel) -> list[TaskRecord]:
    records = (run.tasks.get(task) for task in list(run.tasks))
    return [record for record in records if record is not None]


class GraphDrawing:
    """Drawing of a graph; see `graph`.

    Args:
        drawn: nodes and edges.
        remark: sentence below the drawing.
    """

    def __init__(self, drawn: Graph, remark: str = "") -> None:
        self._graph = drawn
        self._remark = remark
        self._svg = ""

    @property
    def svg(self) -> str:
        """The drawing as one element ``svg``, which needs no style sheet and no script."""
        self._svg = self._svg or svg_of(self._graph)
        return self._svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the drawing into the file *path*.

        Raises:
            OSError: it cannot be written.
        """
        Path(path).write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{self.svg}\n', encoding="utf-8")

    def __repr__(self) -> str:
        nodes, edges = len(self._graph.nodes), len(self._graph.edges)
        grouped = "" if self._graph.grouping == "none" else f", by {self._graph.grouping}"
        return f"<GraphDrawing: {nodes} nodes, {edges} edges{grouped}>"

    def _repr_html_(self) -> str:
        remark = f'<div style="font-size:0.9em">{escape(self._remark)}</div>' if self._remark else ""
        return f'<div style="overflow:auto;max-height:40em">{self.svg}</div>{remark}'


def graph_of(records: Sequence[TaskRecord], grouping: Grouping = "") -> Graph:
    """Return the graph of *records*; no I/O."""
    if not grouping:
        grouping = "none" if len(records) <= LIMIT else "app"
    tasks: dict[int, tuple[str, str]] = {record.id: (record.app.name, record.status.name.lower()) for record in records}
    groups = {task: _group_of(task, app, state, grouping) for task, (app, state) in tasks.items()}
    states: dict[str, Counter[str]] = {}
    for task, (_, state) in tasks.items():
        states.setdefault(groups[task], Counter())[state] += 1
    first = {group: task for task, group in reversed(groups.items())}
    nodes = [
        GraphNode(
            id=group,
            label=_label_of(first[group], tasks[first[group]], grouping),
            app=tasks[first[group]][0],
            states=dict(counts),
            task=first[group] if grouping == "none" else None,
        )
        for group, counts in states.items()
    ]
    edges = Counter(
        (groups[needed], groups[record.id]) for record in records for needed in _needs(record) if needed in groups
    )
    kept = nodes[:LARGEST]
    return Graph(
        nodes=kept,
        edges=[(one, other, number) for (one, other), number in edges.items()],
        grouping=grouping,
        is_cut=len(kept) < len(nodes),
    )


def _needs(record: TaskRecord) -> Iterable[int]:
    """Ids of the tasks whose results *record* waits for; a future of other than a task has none."""
    return {task for future in record.depends if (task := getattr(future, "tid", None)) is not None}


def _group_of(task: int, app: str, state: str, grouping: str) -> str:
    return {"none": str(task), "app": app}.get(grouping, f"{app} {state}")


def _label_of(task: int, named: tuple[str, str], grouping: str) -> str:
    app, state = named
    return f"{app} {task}" if grouping == "none" else app if grouping == "app" else f"{app}: {state}"


def svg_of(drawn: Graph) -> str:
    """Return *drawn* as an element ``svg``; text and edges have the colour of the text around it. No I/O."""
    cells = layout([node.id for node in drawn.nodes], [(one, other) for one, other, _ in drawn.edges])
    top = min((cell.row for cell in cells.values()), default=0.0)
    at = {node: (8.0 + COLUMN * cell.column, 8.0 + ROW * (cell.row - top)) for node, cell in cells.items()}
    width = max((x for x, _ in at.values()), default=0.0) + WIDTH + 8
    height = max((y for _, y in at.values()), default=0.0) + HEIGHT + 8
    lines = [_edge(at[one], at[other], number) for one, other, number in drawn.edges if one in at and other in at]
    boxes = [_box(node, at[node.id]) for node in drawn.nodes]
    what = f"{len(drawn.nodes)} nodes, {len(drawn.edges)} edges"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="graph of tasks: {what}" font-family="sans-serif" '
        f'font-size="12"><g fill="none" stroke="currentColor" stroke-opacity="0.45">{"".join(lines)}</g>'
        f"{''.join(boxes)}</svg>"
    )


def _edge(start: tuple[float, float], end: tuple[float, float], number: int) -> str:
    x, y = start[0] + WIDTH, start[1] + HEIGHT / 2
    to_x, to_y = end[0], end[1] + HEIGHT / 2
    if start == end:  # tasks of a group that need others of the same
        path = f"M{x - 30:.0f} {y - HEIGHT / 2:.0f} c 0 -10 24 -10 24 0"
    else:
        bend = max(24.0, abs(to_x - x) / 2)
        path = f"M{x:.0f} {y:.1f} C{x + bend:.0f} {y:.1f} {to_x - bend:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}"
    thick = "" if number == 1 else f' stroke-width="{min(4.0, 1 + len(str(number)) / 2):.1f}"'
    return f'<path d="{path}"{thick}><title>{number} dependenc{"y" if number == 1 else "ies"}</title></path>'


def _box(node: GraphNode, place: tuple[float, float]) -> str:
    x, y = place
    colour = COLOURS.get(max(node.states, key=node.states.__getitem__, default=""), "#757575")
    words = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in node.states.items())
    number = "" if node.task is not None else f" x {sum(node.states.values())}"
    label, room = node.label.replace("_", " "), _LETTERS - len(number)
    text = (label if len(label) <= room else f"{label[: room - 1]}…") + number
    return (
        f'<g transform="translate({x:.0f} {y:.1f})"><title>{escape(f"{node.label}: {words}")}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{colour}" fill-opacity="0.14" stroke="{colour}"/>'
        f"{_bar(node.states)}"
        f'<text x="{WIDTH / 2:.0f}" y="20" text-anchor="middle" fill="currentColor">{escape(text)}</text></g>'
    )


def _bar(states: Mapping[str, int]) -> str:
    """A part for each state along the lower edge."""
    total, left, parts = sum(states.values()) or 1, 0.0, []
    room = WIDTH - 12
    for state in sorted(states, key=list(COLOURS).index if states.keys() <= COLOURS.keys() else None):
        wide = room * states[state] / total
        colour = COLOURS.get(state, "#757575")
        parts.append(
            f'<rect x="{6 + left:.1f}" y="{HEIGHT - 7}" width="{wide:.1f}" height="3" rx="1.5" fill="{colour}"/>'
        )
        left += wide
    return "".join(parts)

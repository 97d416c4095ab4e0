"""Questions about the graph of tasks: each task alone, or grouped by app and state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from cnflow.errors import UnknownNameError
from cnflow.monitoring.queries import views
from cnflow.monitoring.queries.sampling import chunks, sampled
from cnflow.monitoring.store import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_SAMPLE = 20_000
"""Tasks from whose dependencies the numbers between groups are estimated, in a run that has more."""

GROUPINGS = ("none", "app", "app and state")


def graph(
    connection: Connection, found: views.RunView, *, grouping: str, limit: int, apps: Sequence[views.AppView]
) -> views.Graph:
    """Return the graph; see `Reader.graph`.

    Raises:
        UnknownNameError: there is no such grouping.
    """
    if grouping and grouping not in GROUPINGS:
        raise UnknownNameError("grouping", grouping, list(GROUPINGS))
    tasks = sum(sum(app.states.values()) for app in apps)
    if not grouping:
        grouping = "none" if tasks <= limit else "app"
    if grouping == "none":
        return _of_tasks(connection, found.id, limit=limit, is_cut=tasks > limit)
    if grouping == "app":
        nodes = [views.GraphNode(id=app.app, label=app.app, app=app.app, states=app.states, task=None) for app in apps]
    else:
        nodes = [
            views.GraphNode(
                id=f"{app.app}\n{state}", label=f"{app.app}: {state}", app=app.app, states={state: count}, task=None
            )
            for app in apps
            for state, count in app.states.items()
        ]
    edges, is_estimated = _edges_of_groups(connection, found.id, tasks, by_state=grouping != "app")
    known = {node.id for node in nodes}
    for end in sorted({end for edge in edges for end in edge[:2]} - known):  # between two questions a state was reached
        app, _, state = end.partition("\n")
        label = f"{app}: {state}" if state else app
        nodes.append(views.GraphNode(id=end, label=label, app=app, states={}, task=None))
    return views.Graph(
        nodes=nodes[:limit], edges=edges, grouping=grouping, is_cut=len(nodes) > limit, is_estimated=is_estimated
    )


def _of_tasks(connection: Connection, run_id: str, *, limit: int, is_cut: bool) -> views.Graph:
    columns, needs = schema.task.c, schema.dependency.c
    wanted = select(columns.task_id, columns.task_func_name, columns.task_state).where(columns.run_id == run_id)
    rows = connection.execute(wanted.order_by(columns.task_id).limit(limit)).all()
    nodes = [
        views.GraphNode(id=str(number), label=f"{app} {number}", app=app, states={state: 1}, task=number)
        for number, app, state in rows
    ]
    last = rows[-1].task_id if rows else -1
    pairs = select(needs.needs, needs.task_id).where(needs.run_id == run_id, needs.needs <= last, needs.task_id <= last)
    edges = [(str(start), str(end), 1) for start, end in connection.execute(pairs.limit(limit * 10))]
    return views.Graph(nodes=nodes, edges=edges, grouping="none", is_cut=is_cut)


def _edges_of_groups(
    connection: Connection, run_id: str, tasks: int, *, by_state: bool
) -> tuple[list[tuple[str, str, int]], bool]:
    """Edges between groups, and whether their numbers are estimated."""
    needs = schema.dependency.c
    start, end = schema.task.alias("start"), schema.task.alias("end")
    ends = [start.c.task_func_name, end.c.task_func_name]
    if by_state:
        ends += [start.c.task_state, end.c.task_state]
    joined = schema.dependency.join(start, (start.c.run_id == needs.run_id) & (start.c.task_id == needs.needs))
    joined = joined.join(end, (end.c.run_id == needs.run_id) & (end.c.task_id == needs.task_id))
    counted = select(*ends, func.count()).select_from(joined).where(needs.run_id == run_id).group_by(*ends)
    ids = sampled(range(tasks), _SAMPLE)
    counts: dict[tuple[str, str], int] = {}
    for some in [None] if len(ids) == tasks else chunks(ids):
        for row in connection.execute(counted if some is None else counted.where(needs.task_id.in_(some))):
            edge = (f"{row[0]}\n{row[2]}", f"{row[1]}\n{row[3]}") if by_state else (str(row[0]), str(row[1]))
            counts[edge] = counts.get(edge, 0) + int(row[-1])
    share = tasks / max(len(ids), 1)
    edges = [(*edge, round(count * share)) for edge, count in sorted(counts.items())]
    return edges, len(ids) < tasks

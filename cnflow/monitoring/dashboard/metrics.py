"""Counts of the runs that go on, in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from cnflow.prometheus_text import TYPE, family, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from cnflow.monitoring.queries.reader import Reader

_MOST_RUNS = 50

FAMILIES = {
    "cnflow_run_info": "Runs that go on; always 1",
    "cnflow_run_start_time_seconds": "Unix time at which the run began",
    "cnflow_tasks": "Tasks by state",
    "cnflow_app_tasks": "Tasks by app and state",
    "cnflow_app_run_seconds": "Summed run time of the tasks of an app that ended",
    "cnflow_blocks": "Blocks by executor and state",
    "cnflow_block_cost_usd": "Cost of the blocks, as last reported, where the provider has a price",
    "cnflow_nodes": "Nodes that are connected",
    "cnflow_workers": "Workers of the nodes that are connected",
    "cnflow_errors": "Failed tasks by type of their error",
    "cnflow_samples_dropped": "Samples of resources that were dropped on their way",
}
"""Name and help of each metric; all are gauges, since a run ends and its counts go."""


def routes() -> list[Route]:
    """Return the routes."""
    return [Route("/metrics", metrics)]


def metrics(request: Request) -> Response:
    """Return the metrics of the runs that go on."""
    return Response(exposition(request.app.state.reader), media_type=TYPE)


def exposition(reader: Reader) -> str:
    """Return the text that Prometheus reads."""
    samples: dict[str, list[str]] = {name: [] for name in FAMILIES}
    for run in reader.runs(state="running", limit=_MOST_RUNS):
        labels = {"run": run.id, "name": run.name}
        for name, extra, value in _of_run(reader, run.id):
            samples[name].append(sample(name, {**labels, **extra}, value))
        samples["cnflow_run_info"].append(
            sample("cnflow_run_info", {**labels, "host": run.host, "user": run.user, "folder": run.run_dir}, 1)
        )
        samples["cnflow_run_start_time_seconds"].append(sample("cnflow_run_start_time_seconds", labels, run.began))
        samples["cnflow_samples_dropped"].append(sample("cnflow_samples_dropped", labels, run.samples_dropped))
    lines: list[str] = []
    for name, words in FAMILIES.items():
        lines += family(name, "gauge", words, samples[name])
    return "\n".join(lines) + "\n"


def _of_run(reader: Reader, run: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for state, count in reader.states(run).items():
        yield "cnflow_tasks", {"state": state}, count
    for app in reader.apps(run):
        for state, count in app.states.items():
            yield "cnflow_app_tasks", {"app": app.app, "state": state}, count
        yield "cnflow_app_run_seconds", {"app": app.app}, app.run_seconds
    yield from _of_blocks(reader, run)
    yield from _of_nodes(reader, run)
    errors: dict[str, int] = {}
    for group in reader.errors(run):
        errors[group.type] = errors.get(group.type, 0) + group.count
    for kind, count in errors.items():
        yield "cnflow_errors", {"type": kind}, count


def _of_blocks(reader: Reader, run: str) -> Iterator[tuple[str, dict[str, str], float]]:
    blocks: dict[tuple[str, str], int] = {}
    cost: dict[str, float] = {}
    for block in reader.blocks(run):
        blocks[block.executor, block.state] = blocks.get((block.executor, block.state), 0) + 1
        if block.usd is not None:
            cost[block.executor] = cost.get(block.executor, 0.0) + block.usd
    for (executor, state), count in blocks.items():
        yield "cnflow_blocks", {"executor": executor, "state": state}, count
    for executor, usd in cost.items():
        yield "cnflow_block_cost_usd", {"executor": executor}, usd


def _of_nodes(reader: Reader, run: str) -> Iterator[tuple[str, dict[str, str], float]]:
    workers: dict[str, list[int]] = {}
    for node in reader.nodes(run):
        if node.is_up:
            workers.setdefault(node.executor, []).append(node.workers)
    for executor, counts in workers.items():
        yield "cnflow_nodes", {"executor": executor}, len(counts)
        yield "cnflow_workers", {"executor": executor}, sum(counts)

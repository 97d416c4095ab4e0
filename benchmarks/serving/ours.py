"""cnflow itself: ``python -m benchmarks.serving.ours --port N --model heavy [--batch]`` serves until SIGTERM.

One worker, as each peer has one replica. With ``--graph N`` it prints what a call takes instead, in N calls each: of
the function itself, in the graph, and over HTTP.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any

import cnflow
from benchmarks.serving import model
from benchmarks.serving.load import Generator, Plan, Target
from cnflow.config import HighThroughputExecutor, ModelConfig, ServeConfig, VersionConfig

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS = 20
"""Turns that the kinds of calls take: what else the machine does meets all of them."""


def main() -> None:
    """Serve, or measure the graph."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="light")
    parser.add_argument("--batch", action="store_true")
    parser.add_argument("--fronts", type=int, default=1)
    parser.add_argument("--graph", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.graph:
            print(json.dumps(graph(options.model, options.graph, folder)))
        else:
            serve(options, folder)


def serve(options: argparse.Namespace, folder: str) -> None:
    """Serve until SIGTERM."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    served = ModelConfig(
        name=options.model,
        versions=[VersionConfig(module=f"benchmarks.serving.{options.model}", max_batch=64 if options.batch else 1)],
    )
    config = ServeConfig(
        models=[served], executors=[HighThroughputExecutor(max_workers=1)], run_dir=folder, strategy="none"
    )
    with cnflow.Serve(config=config, port=options.port, fronts=options.fronts):
        signal.sigwait(signals)


def graph(name: str, count: int, folder: str) -> dict[str, float]:
    """Return the median milliseconds of a call of the function, in the graph and over HTTP, and what each adds.

    All three take turns within one run, with one worker and one caller. What one adds to another is the median of the
    differences within the rounds: a round that was disturbed as a whole counts as any other.
    """
    rows = model.inputs(1)
    served = ModelConfig(name=name, versions=[VersionConfig(module=f"benchmarks.serving.{name}")])
    with cnflow.load(cnflow.Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=folder)):
        predict = cnflow.predict_app(module=f"benchmarks.serving.{name}")
        with cnflow.Serve(served, port=0) as server:
            server.wait_until_ready(120)
            target = Target(f"{server.url}/v1/models/{name}:predict", [json.dumps({"rows": rows}).encode()])
            each = max(1, count // _ROUNDS)
            rounds = [_round(name, rows, predict, target, each) for _ in range(1 + _ROUNDS)][1:]
    direct, in_graph, over_http = ([1e3 * found[kind] for found in rounds] for kind in range(3))
    return {
        "direct_ms": statistics.median(direct),
        "graph_ms": statistics.median(in_graph),
        "http_ms": statistics.median(over_http),
        "graph_adds_ms": statistics.median(map(float.__sub__, in_graph, direct)),
        "http_adds_ms": statistics.median(map(float.__sub__, over_http, in_graph)),
    }


def _round(
    name: str, rows: list[list[float]], predict: Callable[..., Any], target: Target, count: int
) -> tuple[float, float, float]:
    """Return the median seconds of *count* calls of each kind."""
    direct = [_timed(lambda: model.predict_with(name, rows)) for _ in range(count)]
    in_graph = [_timed(lambda: predict(rows).result(60)) for _ in range(count)]
    over_http = Generator(target, Plan(1, 60.0, count)).run()
    if over_http.failed:
        raise RuntimeError(f"requests failed: {over_http.failures}")
    return statistics.median(direct), statistics.median(in_graph), over_http.percentile(0.5)


def _timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()

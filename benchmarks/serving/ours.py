"""cnflow itself: ``python -m benchmarks.serving.ours --port N --model heavy [--batch]`` serves until SIGTERM.

One worker, as each peer has one replica. With ``--graph N`` it prints the time of N calls in the graph instead, beside
calls of the function itself.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

import cnflow
from benchmarks.serving import model
from cnflow.config import HighThroughputExecutor, ModelConfig, ServeConfig, VersionConfig

if TYPE_CHECKING:
    from collections.abc import Callable


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
    """Return the median milliseconds of a call in the graph, and of the function itself in this process."""
    rows = model.inputs(1)
    executor = HighThroughputExecutor(max_workers=1)
    with cnflow.load(cnflow.Config(executors=[executor], run_dir=folder)):
        predict = cnflow.predict_app(module=f"benchmarks.serving.{name}")
        for _ in range(20):
            predict(rows).result(60)
        calls = [_timed(lambda: predict(rows).result(60)) for _ in range(count)]
    model.predict_with(name, rows)
    direct = [_timed(lambda: model.predict_with(name, rows)) for _ in range(count)]
    return {"graph_ms": 1e3 * statistics.median(calls), "direct_ms": 1e3 * statistics.median(direct)}


def _timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()

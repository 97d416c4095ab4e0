"""BentoML: one worker of uvicorn, in whose process ``predict`` runs. https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html."""

from __future__ import annotations

import os
import signal

import bentoml

from benchmarks.serving.model import predict_with, weights
from benchmarks.serving.peers import MAX_BATCH, arguments

MODEL = os.environ.get("CNFLOW_BENCH_MODEL", "light")
IS_BATCHED = os.environ.get("CNFLOW_BENCH_BATCH") == "1"


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Served:
    """Calls ``predict``, for the rows of several requests where it is batched."""

    def __init__(self) -> None:
        weights(MODEL)

    @bentoml.api(batchable=IS_BATCHED, max_batch_size=MAX_BATCH, max_latency_ms=1000)  # type: ignore[untyped-decorator, unused-ignore]
    def predict(self, rows: list[list[float]]) -> list[int]:
        """Return the class of each row."""
        return predict_with(MODEL, rows)


def main() -> None:
    """Become BentoML's own server."""
    options = arguments()
    os.environ.update(CNFLOW_BENCH_MODEL=options.model, CNFLOW_BENCH_BATCH="1" if options.batch else "0")
    os.environ.update(BENTOML_DO_NOT_TRACK="True", PYTHONPATH=os.getcwd())  # noqa: PTH109
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = ["bentoml", "serve", "benchmarks.serving.peers.bento:Served", "--host", "127.0.0.1"]
    os.execvp("bentoml", [*command, "--port", str(options.port)])  # noqa: S606, S607 - of this environment


if __name__ == "__main__":
    main()

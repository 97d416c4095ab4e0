"""Ray Serve: a proxy process and one replica. https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html."""

from __future__ import annotations

import signal
from typing import Any

import ray
from ray import serve
from starlette.requests import Request  # noqa: TC002 - read by Ray

from benchmarks.serving.model import predict_with, weights
from benchmarks.serving.peers import MAX_BATCH, MAX_WAIT, arguments


class Alone:
    """Calls ``predict`` for each request."""

    def __init__(self, model: str) -> None:
        self.model = model
        weights(model)

    async def __call__(self, request: Request) -> Any:  # noqa: ANN401 - JSON
        """Answer a request."""
        return {"results": predict_with(self.model, (await request.json())["rows"])}


class Batched(Alone):
    """Calls ``predict`` for the rows of several requests."""

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_WAIT)  # type: ignore[untyped-decorator, unused-ignore]
    async def _together(self, rows: list[Any]) -> list[Any]:
        return predict_with(self.model, rows)

    async def __call__(self, request: Request) -> Any:  # noqa: ANN401 - JSON
        """Answer a request."""
        return {"results": [await self._together(row) for row in (await request.json())["rows"]]}


def _start() -> None:
    """Start Ray, which gives up after 30 s of a busy machine; twice again."""
    for tries in range(3):
        try:
            ray.init(
                address="local",
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=2**28,
                _node_ip_address="127.0.0.1",
                log_to_driver=False,
            )
        except Exception:
            if tries == 2:  # noqa: PLR2004 - the last
                raise
            ray.shutdown()
        else:
            return


def main() -> None:
    """Serve until SIGTERM."""
    options = arguments()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    _start()
    serve.start(http_options={"host": "127.0.0.1", "port": options.port}, logging_config={"enable_access_log": False})
    deployed = serve.deployment(
        Batched if options.batch else Alone, num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 1}
    )
    serve.run(deployed.bind(options.model), name="models", route_prefix="/")
    signal.sigwait(signals)
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()

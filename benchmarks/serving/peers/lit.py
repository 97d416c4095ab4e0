"""LitServe: a front process and one process for ``predict``. https://lightning.ai/docs/litserve/features/batching."""

from __future__ import annotations

from typing import Any

import litserve

from benchmarks.serving.model import predict_with, weights
from benchmarks.serving.peers import MAX_BATCH, MAX_WAIT, arguments


class Served(litserve.LitAPI):  # type: ignore[misc, unused-ignore]
    """Calls ``predict`` with the rows of one request, or of several."""

    def setup(self, device: str) -> None:
        """Make the weights."""
        del device
        weights(self.model_name)

    def decode_request(self, request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - LitServe reads annotations
        """Return the rows."""
        return request["rows"]

    def batch(self, inputs: list[Any]) -> Any:  # noqa: ANN401 - what predict gets
        """Put the rows of several requests together: each has one."""
        return [rows[0] for rows in inputs]

    def predict(self, x: Any) -> Any:  # noqa: ANN401 - rows
        """Return the class of each row."""
        return predict_with(self.model_name, x)

    def unbatch(self, output: Any) -> Any:  # noqa: ANN401 - classes
        """Return what each request gets."""
        return [[each] for each in output]

    def encode_response(self, output: Any) -> Any:  # noqa: ANN401 - JSON
        """Return the body."""
        return {"results": output}


def main() -> None:
    """Serve until SIGTERM."""
    options = arguments()
    several = {"max_batch_size": MAX_BATCH, "batch_timeout": MAX_WAIT} if options.batch else {}
    api = Served(**several)
    api.model_name = options.model
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, track_requests=False)
    server.run(host="127.0.0.1", port=options.port, log_level="warning", generate_client_file=False, num_api_servers=1)


if __name__ == "__main__":
    main()

"""A service of models that answers at once, or as a test tells it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from cnflow.serving.service import ModelStatus, Prediction, RowForm, ServingError, VersionStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from cnflow.serving.service import ModelCall

DESCRIPTION = {
    "name": "iris",
    "methods": ["predict", "stream"],
    "row": {
        "$defs": {"Petal": {"type": "object", "properties": {"width": {"type": "number"}}}},
        "type": "object",
        "properties": {"petal": {"$ref": "#/$defs/Petal"}},
    },
    "result": {"type": "string"},
    "doc": "Names flowers.",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
}


def version_of(name: str = "v1", **changed: Any) -> VersionStatus:
    """Return a version that is ready."""
    values: dict[str, Any] = {
        "weight": 1.0,
        "is_shadow": False,
        "state": "ready",
        "reason": "",
        "image": "app1:0.1",
        "digest": "sha256:" + "ab" * 32,
        "description": DESCRIPTION,
        "workers": 2,
        "in_flight": 0,
    }
    return VersionStatus(name, **{**values, **changed})


class EchoService:
    """Answers each row with itself, tensors too."""

    def __init__(self, **versions: VersionStatus) -> None:
        self.is_ready = True
        self.calls: list[ModelCall] = []
        self.error: Exception | None = None
        self.delay = 0.0
        self.cancelled = 0
        self.closed = 0
        self.results: Any = None
        self.pieces: list[bytes | Exception | float] = [b'{"token":"a"}', b'{"token":"b"}']
        self._models = {"iris": ModelStatus("iris", [version_of(), version_of("v2", weight=0.0)])}

    def models(self) -> Mapping[str, ModelStatus]:
        return self._models

    async def predict(self, call: ModelCall) -> Prediction:
        self.calls.append(call)
        if call.model not in self._models:
            raise ServingError(f"No model is called {call.model!r}.", 404, "model_not_found")
        if self.error is not None:
            raise self.error
        if self.delay:
            try:
                await asyncio.sleep(self.delay)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        results = call.rows if self.results is None else self.results
        if self.results is None and call.form is RowForm.JSON:
            results = msgspec.json.encode(msgspec.json.decode(call.rows))
        return Prediction(results, call.version or "v1", "sha256:ab", 0.001, 0.002)

    async def stream(self, call: ModelCall) -> AsyncIterator[bytes]:
        self.calls.append(call)
        try:
            for each in self.pieces:
                if isinstance(each, Exception):
                    raise each
                if isinstance(each, float):
                    await asyncio.sleep(each)
                else:
                    yield each
        finally:
            self.closed += 1

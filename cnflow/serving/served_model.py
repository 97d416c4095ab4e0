"""One model of a server, and one call of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.serving.admission import Admission
from cnflow.serving.client_rates import ClientRates
from cnflow.serving.failures import Attempts
from cnflow.serving.router import Router
from cnflow.serving.versions import VersionState

if TYPE_CHECKING:
    import asyncio
    from collections import deque

    from cnflow.config.serving import ModelConfig
    from cnflow.ids import TaskId
    from cnflow.model.provenance import Place
    from cnflow.serving.service import ModelCall
    from cnflow.serving.versions import Version


class ServedModel:
    """A model: its settings, its versions, and its calls.

    Attributes:
        config: the user's settings.
        router: chooses versions.
        admission: bounds calls.
    """

    __slots__ = ("admission", "config", "router")

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.router = Router(config.name, config.keep_previous)
        rate = config.max_rate_per_client
        self.admission: Admission[Call] = Admission(
            config.name,
            config.max_concurrency,
            config.max_queue,
            config.max_per_client,
            None if rate is None else ClientRates(rate, config.max_burst_per_client),
        )


class Call:
    """A call without an answer.

    Attributes:
        request: as the front has made it.
        model: its model.
        answer: future of its `Prediction`, or of the end of its stream; None for a copy, which nobody waits for.
        begun: time at which it came.
        submitted: time of its present attempt.
        version: that answers it; None while it waits for admission.
        task: its task at the executor; None before, and between two attempts.
        attempts: those that failed.
        pieces: of its stream that were not taken yet; None for a call of another kind.
        has_pieces: some piece came: from then on it cannot be tried again.
        last_piece: time of the last one.
        piece_count: number of those that have come.
        place: where its last attempt ran; None where that is not known.
        wake: done when a piece has come, or the end.
        is_over: it has its answer.
        is_admitted: it is counted among those that run.
    """

    __slots__ = (
        "answer", "attempts", "begun", "has_pieces", "is_admitted", "is_over", "last_piece", "model", "piece_count",
        "pieces", "place", "request", "submitted", "task", "version", "wake",
    )  # fmt: skip

    def __init__(self, request: ModelCall, model: ServedModel, answer: asyncio.Future[Any] | None, now: float) -> None:
        self.request = request
        self.model = model
        self.answer = answer
        self.begun = now
        self.submitted = now
        self.version: Version | None = None
        self.task: TaskId | None = None
        self.attempts = Attempts()
        self.pieces: deque[Any] | None = None
        self.has_pieces = False
        self.last_piece = 0.0
        self.piece_count = 0
        self.place: Place | None = None
        self.wake: asyncio.Future[None] | None = None
        self.is_over = False
        self.is_admitted = False

    def deadline(self) -> float:
        """Time at which it is given up, as things are now; a version that becomes ready moves it."""
        config, timeout = self.model.config, self.request.timeout
        limit = config.timeout if self.pieces is None or not self.has_pieces else config.stream_timeout
        version = self.version
        if version is None or version.state is VersionState.READY:
            since = self.begun if version is None else max(self.begun, version.ready_since)
            at = since + limit
        else:
            at = self.begun + config.cold_timeout
        return at if timeout is None else min(at, self.begun + timeout)

    @property
    def is_cold(self) -> bool:
        """No worker has loaded its version yet."""
        return self.version is not None and self.version.state is not VersionState.READY

"""Counts, traces and logs the calls of served models, as `CallRunner` takes them from their requests to their answers.

::

    on_attempt, on_piece, on_end ───────────────────────> ServingMetrics, RequestTraces, FailureLog
    on_outcome, for each call of one message ──> batches ──on_delivered──> ServingMetrics.on_batch

The results of one batch come in one message, with the same worker and the same end: that is how a batch is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.serving.failure_log import FailureLog
from cnflow.serving.metrics import OK
from cnflow.serving.traces import CallRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.model.task import Outcome
    from cnflow.serving.metrics import ServingMetrics
    from cnflow.serving.served_model import Call
    from cnflow.serving.service import Prediction, ServingError
    from cnflow.serving.traces import RequestTraces

LOST = "lost"
"""Code of a copy for a shadow that was lost with its worker: it is not tried again."""

GONE = "client_gone"
"""Code of a call whose caller has given it up."""

_GONE_STATUS = 499


class CallObserver:
    """Sees all calls of a server; see the module. All methods are called in one thread.

    Args:
        metrics: counts.
        traces: sends spans; None for none.
        wall_clock: seconds since 1970, for spans.
    """

    def __init__(self, metrics: ServingMetrics, traces: RequestTraces | None, wall_clock: Callable[[], float]) -> None:
        self.metrics = metrics
        self._traces = traces
        self._wall_clock = wall_clock
        self._failures = FailureLog()
        self._batches: dict[tuple[str, str, str, int, float], list[float]] = {}
        """Rows and seconds, by model, version, manager, worker and end."""

    def on_attempt(self, call: Call) -> None:
        """*call* is tried again, after one that was lost."""
        self.metrics.on_attempt(call.request.model, _version_of(call))

    def on_piece(self, call: Call, now: float) -> None:
        """A piece of *call* has come."""
        since = call.last_piece if call.has_pieces else call.begun
        self.metrics.on_piece(call.request.model, _version_of(call), now - since, is_first=not call.has_pieces)
        call.last_piece = now
        call.piece_count += 1

    def on_outcome(self, call: Call, outcome: Outcome) -> None:
        """A worker has answered *call*, or could not."""
        call.place = outcome.place
        if outcome.error is not None or call.pieces is not None or not call.request.row_count:
            return
        manager = outcome.place.manager if outcome.place else ""
        key = (call.request.model, _version_of(call), manager, outcome.worker, outcome.ended)
        batch = self._batches.get(key)
        if batch is None:
            self._batches[key] = [call.request.row_count, outcome.seconds]
        else:
            batch[0] += call.request.row_count

    def on_delivered(self) -> None:
        """All outcomes of one message have been seen."""
        for (model, version, *_), (rows, seconds) in self._batches.items():
            self.metrics.on_batch(model, version, int(rows), seconds)
        self._batches.clear()

    def on_end(self, call: Call, now: float, prediction: Prediction | None, error: ServingError | None) -> None:
        """*call* has its answer; without either, its caller has gone, or it was a copy that was lost."""
        is_copy = call.answer is None
        nothing = LOST if is_copy else GONE
        code = OK if prediction is not None else nothing if error is None else error.code
        model, version = call.request.model, _version_of(call)
        if error is not None:
            self._failures.on_failure(model, version, error, now, call.request.request_id)
        if is_copy:
            self.metrics.on_shadow(model, version, code, now - call.begun)
            return
        queue, compute = (
            (prediction.queue_seconds, prediction.compute_seconds) if prediction is not None else (0.0, 0.0)
        )
        self.metrics.on_call(model, version, code, queue, compute)
        if self._traces is None:
            return
        status = 200 if prediction is not None else _GONE_STATUS if error is None else error.status
        if self._traces.wants(call.request.traceparent, status):
            self._traces.on_end(self._record(call, now, code, status, prediction, error))

    def _record(
        self,
        call: Call,
        now: float,
        code: str,
        status: int,
        prediction: Prediction | None,
        error: ServingError | None,
    ) -> CallRecord:
        request, ended = call.request, self._wall_clock()
        return CallRecord(
            request.model,
            _version_of(call),
            "predict" if call.pieces is None else "stream",
            ended - (now - call.begun),
            ended,
            code,
            status,
            error="" if error is None else str(error),
            digest="" if call.version is None else call.version.digest,
            request_id=request.request_id,
            client=request.client,
            rows=request.row_count,
            traceparent=request.traceparent,
            queue_seconds=0.0 if prediction is None else prediction.queue_seconds,
            compute_seconds=0.0 if prediction is None else prediction.compute_seconds,
            attempts=1 + call.attempts.lost + call.attempts.died,
            pieces=call.piece_count,
            place=call.place,
        )


def _version_of(call: Call) -> str:
    return "" if call.version is None else call.version.name

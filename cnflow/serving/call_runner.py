"""Takes each call from its request to its answer: admission, version, attempts, deadline.

::

    start ──enter──> waiting ──a running one ends──┐
               └─────────────────────────────────> begin ──choose──> submit ──outcome──> answer
                                                                       ^         │
       give_up, deadline ──> cancel the task ──> 504, or 503 if cold   └──decide──> again, at once or later

All methods run in the thread of one event loop. A call ends exactly once, whichever comes first; what its task does
afterwards reaches nobody.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from cnflow.errors import CnflowError
from cnflow.model.batching import BatchPart
from cnflow.model.task import NO_OPTIONS, Outcome, RunOptions
from cnflow.serving.deadlines import Deadlines
from cnflow.serving.failures import decide
from cnflow.serving.public_words import public_words
from cnflow.serving.served_model import Call, ServedModel
from cnflow.serving.service import Prediction, ServingError
from cnflow.serving.traces import parse_traceparent
from cnflow.serving.versions import VersionState
from cnflow.tasks.models import STREAM
from cnflow.text import describe_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.clock import Clock
    from cnflow.serving.call_observer import CallObserver
    from cnflow.serving.places import Place
    from cnflow.serving.versions import Action, Version

    Perform = Callable[[ServedModel, list[Action]], None]

logger = logging.getLogger(__name__)

COLD_RETRY_AFTER = 10.0
MOST_PIECES = 100_000
"""Pieces of a stream that nobody has taken; a caller that is so far behind is cut off."""

_LOOK_AGAIN = 1.0
"""Seconds after which the deadline of a cold call is computed anew."""


class CallRunner:
    """The calls of all models; the module has a picture.

    Args:
        clock: source of time.
        perform: does what routers want done.
        observer: counts calls, and traces them.

    Attributes:
        in_flight: calls without an answer, copies for shadows aside.
        on_idle: called when none is left.
    """

    def __init__(self, clock: Clock, perform: Perform, observer: CallObserver) -> None:
        self._clock = clock
        self._perform = perform
        self._observer = observer
        self._deadlines: Deadlines[Call] = Deadlines()
        self._delayed: Deadlines[Call] = Deadlines()
        self._to_begin: deque[Call] = deque()
        self._is_beginning = False
        self._calls = 0
        self.in_flight = 0
        self.on_idle: Callable[[], None] | None = None

    # From the front

    def start(self, call: Call) -> None:
        """Take *call*; its `Call.answer` gets its result or a ServingError.

        Raises:
            ServingError: 429; it is not taken.
        """
        request = call.request
        begins = call.model.admission.enter(call, request.client, is_bulk=request.is_bulk, now=call.begun)
        self.in_flight += 1
        if begins:
            self._begin_next(call)
        else:
            self._deadlines.set(call, call.deadline())

    def give_up(self, call: Call) -> None:
        """The caller has gone."""
        if not call.is_over:
            self._cancel_task(call)
            self._end(call)

    def on_tick(self) -> None:
        """Time has passed."""
        now = self._clock.now()
        for call in self._delayed.due(now):
            self._submit(call)
        for call in self._deadlines.due(now):
            if call.deadline() > now:
                self._set_deadline(call, now)
            else:
                self._expire(call, now)

    def end_all(self, error: ServingError) -> None:
        """Answer every call with *error*."""
        for call in self._deadlines.all():
            self._cancel_task(call)
            self._end(call, error=error)

    # Attempts

    def _begin_next(self, call: Call) -> None:
        """Begin *call*, and those that follow as others end; a loop, since each may end at once."""
        self._to_begin.append(call)
        if self._is_beginning:
            return
        self._is_beginning = True
        try:
            while self._to_begin:
                self._begin(self._to_begin.popleft())
        finally:
            self._is_beginning = False

    def _begin(self, call: Call) -> None:
        call.is_admitted = True
        request, router = call.request, call.model.router
        try:
            version = router.choose(request.version)
        except ServingError as error:
            self._end(call, error=error)
            return
        methods = version.source.description.get("methods")
        if call.pieces is not None and methods and "stream" not in methods:
            words = f"Model {request.model!r} has no stream(row): it answers :predict alone."
            self._end(call, error=ServingError(words, 400, "no_stream"))
            return
        self._give(call, version)
        if not request.version and call.pieces is None:
            for shadow in router.shadows():
                if shadow is not version and shadow.in_flight < call.model.config.max_concurrency:
                    copy = Call(request._replace(is_bulk=True), call.model, None, self._clock.now())
                    self._give(copy, shadow)

    def _give(self, call: Call, version: Version) -> None:
        call.version = version
        version.in_flight += 1
        if version.state is VersionState.ASLEEP:
            call.model.router.on_waking(version)
        self._set_deadline(call, self._clock.now())
        self._submit(call)

    def _submit(self, call: Call) -> None:
        assert call.version is not None  # of a call that has begun
        request, place = call.request, call.version.source
        apart, form = request.apart, int(request.form)
        self._calls += 1
        if call.pieces is not None:
            form, apart = form | STREAM, f"stream {self._calls}"
        elif call.attempts.died:
            apart = f"alone {self._calls}"
        args = (form, request.rows, dict(request.options)) if request.options else (form, request.rows)
        call.submitted = self._clock.now()
        try:
            call.task = place.direct.submit(
                place.app,
                args,
                None,
                self._options(call),
                BatchPart(request.row_count, apart, request.is_bulk),
                done=functools.partial(self._on_outcome, call),
                piece=None if call.pieces is None else functools.partial(self._on_piece, call),
            )
        except Exception as error:
            logger.exception("a call of %s cannot be submitted", request.model)
            code = "unserializable" if isinstance(error, CnflowError) else "internal_error"
            self._end(
                call, error=ServingError(f"The call cannot be sent: {public_words(describe_error(error))}", 500, code)
            )

    @staticmethod
    def _options(call: Call) -> RunOptions:
        """Give a call that no other shares ``predict`` with the trace of its caller; a batch has none to go by."""
        limits = call.version.source.app.batching if call.version is not None else None
        if not call.request.traceparent or (call.pieces is None and (limits is None or limits.max_batch != 1)):
            return NO_OPTIONS
        context = parse_traceparent(call.request.traceparent)
        return NO_OPTIONS if context is None else RunOptions(env={"TRACEPARENT": context.header})

    def _on_outcome(self, call: Call, outcome: Outcome) -> None:
        if call.is_over:
            return
        call.task = None
        self._observer.on_outcome(call, outcome)
        version, model = call.version, call.model
        assert version is not None  # of a submitted call
        if outcome.error is None:
            if version.state is not VersionState.READY:
                self._perform(model, model.router.on_loaded(version, self._clock.now()))
            self._end(call, value=self._prediction(call, version, outcome))
            return
        config = model.config
        decision = decide(outcome, call.attempts, retries=config.retries, worker_retries=config.worker_retries)
        if isinstance(decision, ServingError):
            decision.__cause__ = outcome.error  # for the log: it has the worker's traceback
            self._end(call, error=decision)
        elif call.has_pieces:
            self._end(call, error=ServingError("The stream was cut off: its worker was lost.", 503, "stream_cut_off"))
        elif call.answer is None:
            self._end(call)  # a copy is not worth another attempt
        else:
            self._observer.on_attempt(call)
            if decision.delay:
                self._delayed.set(call, self._clock.now() + decision.delay)
            else:
                self._submit(call)

    def _prediction(self, call: Call, version: Version, outcome: Outcome) -> Prediction:
        waited = self._clock.now() - call.begun - outcome.seconds
        return Prediction(outcome.value, version.name, version.digest, max(0.0, waited), outcome.seconds)

    def _on_piece(self, call: Call, piece: Any) -> None:  # noqa: ANN401 - as the model has yielded it
        if call.is_over or call.pieces is None:
            return
        if len(call.pieces) >= MOST_PIECES:
            self._cancel_task(call)
            self._end(call, error=ServingError("The caller takes the stream too slowly.", 503, "slow_caller"))
            return
        call.pieces.append(piece)
        self._observer.on_piece(call, self._clock.now())
        if not call.has_pieces:
            call.has_pieces = True
            self._set_deadline(call, self._clock.now())
        if call.wake is not None and not call.wake.done():
            call.wake.set_result(None)

    # Ends

    def _set_deadline(self, call: Call, now: float) -> None:
        at = call.deadline()
        self._deadlines.set(call, min(at, now + _LOOK_AGAIN) if call.is_cold else at)

    def _expire(self, call: Call, now: float) -> None:
        waited, model, model_config = f"{now - call.begun:.1f} s", call.request.model, call.model.config
        if call.is_cold and call.version is not None:
            reason = public_words(call.version.reason) or "no worker has loaded it yet"
            words = f"Version {call.version.name!r} of model {model!r} was not ready within {waited}: {reason}."
            own, limit = call.request.timeout, model_config.cold_timeout
            if own is not None and own < limit:
                words += f" The caller's own limit has ended the wait; the server's is {limit:g} s."
            code = (504, "timeout") if own is not None and own < limit else (503, "model_cold")
            error = ServingError(words, *code, retry_after=COLD_RETRY_AFTER)
        else:
            where = "" if call.is_admitted else ", all in the queue"
            error = ServingError(f"Model {model!r} has not answered within {waited}{where}.", 504, "timeout")
        self._cancel_task(call)
        self._end(call, error=error)

    def _cancel_task(self, call: Call) -> None:
        if call.task is not None and call.version is not None:
            place: Place = call.version.source
            place.direct.cancel([call.task])

    def _end(self, call: Call, value: Prediction | None = None, error: ServingError | None = None) -> None:
        if call.is_over:
            return
        call.is_over = True
        self._deadlines.clear(call)
        self._delayed.clear(call)
        model, now, version = call.model, self._clock.now(), call.version
        if version is not None and (actions := model.router.on_end(version, now)):
            self._perform(model, actions)
        self._observer.on_end(call, now, value, error)
        if call.answer is None:
            return
        if not call.answer.done():
            if error is None:
                call.answer.set_result(value)
            else:
                call.answer.set_exception(error)
        if call.wake is not None and not call.wake.done():
            call.wake.set_result(None)
        self.in_flight -= 1
        if not call.is_admitted:
            model.admission.withdraw(call, call.request.client)
        elif (following := model.admission.leave(call.request.client, now)) is not None:
            self._begin_next(following)
        if self.in_flight == 0 and self.on_idle is not None:
            self.on_idle()

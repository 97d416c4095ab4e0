"""Makes spans of the calls of served models. No I/O.

::

    traceparent of the caller ──> predict digits     from its arrival until its answer
                                    ├── queue        until predict began: admission, other calls, a cold model
                                    └── compute      predict of its batch, in a worker

The trace is the caller's.
A call is traced if its caller has asked for it, by the flag of its trace context. Of the calls without a context, a
share is traced, and all that have failed for a reason of the server's side.
https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.monitoring.sinks.open_telemetry.spans import Problem, Span

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from cnflow.model.provenance import Place

    Send = Callable[[Sequence[Span]], None]

_SAMPLED = 0x01
_PARTS = 4
_SERVER_ERROR = 500


class TraceContext(NamedTuple):
    """Trace of a caller."""

    trace: int
    span: int
    is_sampled: bool

    @property
    def header(self) -> str:
        """The context as a header, made anew: what a caller wrote goes nowhere else."""
        return f"00-{self.trace:032x}-{self.span:016x}-{int(self.is_sampled):02x}"


class CallRecord(NamedTuple):
    """A call that has ended; times in seconds since 1970."""

    model: str
    version: str
    verb: str
    """``predict`` or ``stream``."""

    began: float
    ended: float
    code: str
    """``ok``, or the code of its error."""

    status: int = 200
    """Of HTTP."""

    error: str = ""
    digest: str = ""
    request_id: str = ""
    client: str = ""
    rows: int = 0
    traceparent: str = ""
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0
    """0 for a call that no worker has answered."""

    attempts: int = 1
    pieces: int = 0
    place: Place | None = None


class RequestTraces:
    """Traces calls; see the module.

    Args:
        send: queues spans, and returns at once.
        share: of the calls without a trace context, 0 to 1.
        numbers: source of ids and of chance.
    """

    def __init__(self, send: Send, share: float, numbers: random.Random) -> None:
        self._send = send
        self._share = share
        self._numbers = numbers

    def wants(self, traceparent: str, status: int) -> bool:
        """Return whether a call with this context and status is traced; asked once for each call, as it ends."""
        context = parse_traceparent(traceparent)
        if context is not None:
            return context.is_sampled
        return status >= _SERVER_ERROR or (self._share > 0 and self._numbers.random() < self._share)

    def on_end(self, record: CallRecord) -> None:
        """Send the spans of a call."""
        self._send(spans_of(record, self._numbers))


def parse_traceparent(text: str) -> TraceContext | None:
    """Return the context that a header has; None if it is empty or malformed, or of zeros."""
    parts = text.split("-")
    if len(parts) < _PARTS:
        return None
    try:
        trace, span, flags = (int(part, 16) for part in parts[1:_PARTS])
    except ValueError:
        return None
    if not (0 < trace < 1 << 128 and 0 < span < 1 << 64):
        return None
    return TraceContext(trace, span, bool(flags & _SAMPLED))


def spans_of(record: CallRecord, numbers: random.Random) -> list[Span]:
    """Return the spans of one call, the outermost last."""
    context = parse_traceparent(record.traceparent)
    trace = context.trace if context else _new_id(numbers, 128)
    whole = _new_id(numbers, 64)
    computing = record.began + record.queue_seconds
    parts: list[Span] = []
    if record.compute_seconds:
        place = _place(record.place)
        parts.append(Span("queue", trace, _new_id(numbers, 64), whole, record.began, computing, {}))
        end = min(record.ended, computing + record.compute_seconds)
        parts.append(Span("compute", trace, _new_id(numbers, 64), whole, computing, max(computing, end), place))
    return [
        *parts,
        Span(
            f"{record.verb} {record.model}",
            trace,
            whole,
            context.span if context else None,
            record.began,
            max(record.began, record.ended),
            _attributes(record),
            error=record.error,
            problem=Problem(record.code, record.error) if record.error else None,
            is_server=True,
        ),
    ]


def _attributes(record: CallRecord) -> dict[str, str | int | float | bool]:
    numbers: dict[str, str | int | float | bool] = {
        "cnflow.model": record.model,
        "cnflow.rows": record.rows,
        "cnflow.attempts": record.attempts,
        "cnflow.code": record.code,
        "http.response.status_code": record.status,
    }
    if record.verb == "stream":
        numbers["cnflow.pieces"] = record.pieces
    words = {
        "cnflow.version": record.version,
        "cnflow.request_id": record.request_id,
        "cnflow.client": record.client,
        "container.image.repo_digest": record.digest,
    }
    return {**numbers, **{name: text for name, text in words.items() if text}}


def _place(place: Place | None) -> dict[str, str]:
    if place is None:
        return {}
    words = {
        "cnflow.executor": place.executor,
        "cnflow.block": place.block,
        "cnflow.manager": place.manager,
        "host.name": place.host,
        "container.image.name": place.image,
    }
    return {name: text for name, text in words.items() if text}


def _new_id(numbers: random.Random, bits: int) -> int:
    return numbers.getrandbits(bits) or 1

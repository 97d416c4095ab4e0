"""Answers calls of models; the ASGI app of the front, whose other requests go to Starlette.

::

    POST ──address──> Target ──key, origin, room──> body ──rows counted──> ModelCall ──ModelService──> Prediction
      │                                                                                        v
      └── other addresses ──> `routes`, behind the same gate                  JSON, tensors, or events as they come

Calls are most of the requests: they are answered here, without routing, request objects and middleware.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cnflow.serving.http import requests
from cnflow.serving.http.event_stream import send_events
from cnflow.serving.http.json_bodies import parse_predict, parse_stream, wrap_results
from cnflow.serving.http.problems import BadRequestError, problem_body
from cnflow.serving.http.request_body import ClientGoneError, compress_for, read_body
from cnflow.serving.http.requests import Target, Verb
from cnflow.serving.http.tensor_bodies import infer_response, parse_infer
from cnflow.serving.service import ModelCall, Prediction, RowForm, ServingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cnflow.config.http_front import HttpSettings
    from cnflow.serving.http.connections import GuardedProtocol
    from cnflow.serving.http.gate import Gate
    from cnflow.serving.service import ModelService

logger = logging.getLogger(__name__)

_GRACE = 5.0
"""Seconds after a call's own limit before the front gives up what does not end."""

_JSON = b"application/json"
_TENSORS = b"application/octet-stream"
_Headers = list[tuple[bytes, bytes]]
Extra = tuple[tuple[bytes, bytes], ...]


class RequestMetrics(Protocol):
    """What the front needs of `cnflow.serving.metrics.ServingMetrics`."""

    def on_request(self, model: str, version: str, status: int, seconds: float) -> None:
        """Count a call that is answered."""

    def render(self) -> str | Awaitable[str]:
        """Return all metrics, as Prometheus reads them; those of several fronts have to be asked for."""


class Request(NamedTuple):
    """One call, while it is answered."""

    target: Target
    headers: Mapping[bytes, bytes]
    id: str
    client: str
    connection: GuardedProtocol | None
    """None where there is no socket: tests in the process."""

    scope: Scope


class Front:
    """ASGI app of one front process."""

    def __init__(
        self, service: ModelService, settings: HttpSettings, gate: Gate, rest: ASGIApp, metrics: RequestMetrics | None
    ) -> None:
        self.service = service
        self.settings = settings
        self.gate = gate
        self.in_progress = 0
        """Calls that are answered now."""

        self.is_ending = False
        """True once the server drains: answers close their connections, and a call that is cancelled gets a 503."""

        self._rest = rest
        self._metrics = metrics
        self._targets = requests.Targets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        if self.is_ending:
            send = _closing(scope, send)
        target = self._targets.find(scope["path"]) if scope["method"] == "POST" else None
        if target is None:
            await self._answer_rest(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = requests.request_id_of(headers)
        status, version = 500, target.version
        extra: Extra = ()
        self.in_progress += 1
        try:
            client, extra = self.gate.enter(scope, headers)
            self._check_room()
            request = Request(target, headers, request_id, client, scope.get("cnflow.connection"), scope)
            if target.verb is Verb.PREDICT:
                status, version = await self._predict(request, receive, send, extra)
            elif target.verb is Verb.INFER:
                status, version = await self._infer(request, receive, send, extra)
            else:
                status, version = await self._stream(request, receive, send, extra)
        except ServingError as error:
            status = error.status
            await send_problem(send, error, request_id, is_protocol=target.verb is Verb.INFER, extra=extra)
        except ClientGoneError:
            status = 499
        except Exception:
            logger.exception("Request %s of model %s failed", request_id, target.model)
            await send_problem(send, _internal(request_id), request_id, is_protocol=target.verb is Verb.INFER)
        finally:
            self.in_progress -= 1
            if self._metrics is not None:
                self._metrics.on_request(target.model, version, status, time.perf_counter() - began)

    def _check_room(self) -> None:
        if self.in_progress > self.settings.max_requests:
            raise ServingError(
                f"The front works at {self.settings.max_requests} requests, the most that it takes (max_requests). "
                "Try again.",
                429,
                "too_many_requests",
                1.0,
            )

    async def _answer_rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        scope["cnflow.request_id"] = request_id = requests.request_id_of(headers)
        is_protocol = scope["path"].startswith("/v2")
        try:
            scope["cnflow.client"], extra = self.gate.enter(scope, headers)
        except ServingError as error:
            await send_problem(send, error, request_id, is_protocol=is_protocol)
            return

        if scope["method"] == "OPTIONS":
            await _send_preflight(send, headers, extra)
            return

        async def send_with_headers(message: Any) -> None:  # noqa: ANN401 - ASGI's
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode()), *extra]
            await send(message)

        await self._rest(scope, receive, send_with_headers)

    async def _predict(self, request: Request, receive: Receive, send: Send, extra: Extra) -> tuple[int, str]:
        body = parse_predict(await read_body(receive, request.headers, self.settings.max_body))
        call = self._call(request, RowForm.JSON, body.rows, body.row_count, body.options)
        found = await self._answer(request, call)
        content = wrap_results(found.results, body.answer)
        await _send_answer(request, send, content, [(b"content-type", _JSON), *_facts(request, found, extra)])
        return 200, found.version

    async def _infer(self, request: Request, receive: Receive, send: Send, extra: Extra) -> tuple[int, str]:
        whole = await read_body(receive, request.headers, self.settings.max_body)
        asked = parse_infer(whole, requests.header_length_of(request.headers))
        call = self._call(request, RowForm.TENSORS, asked.tensors, asked.row_count, asked.options)
        call = call._replace(
            apart=f"{asked.apart}|{call.apart}" if call.apart else asked.apart,
            is_bulk=call.is_bulk or asked.is_bulk,
            timeout=call.timeout or asked.timeout,
        )
        found = await self._answer(request, call)
        content, length = infer_response(request.target.model, found.version, asked, found.results)
        facts = _facts(request, found, extra)
        if length is not None:
            facts.append((b"inference-header-content-length", b"%d" % length))
        content, encoding = compress_for(request.headers.get(b"accept-encoding"), content)
        if encoding:
            facts.append((b"content-encoding", encoding))
        facts.append((b"content-type", _JSON if length is None else _TENSORS))
        await _send_answer(request, send, content, facts)
        return 200, found.version

    async def _stream(self, request: Request, receive: Receive, send: Send, extra: Extra) -> tuple[int, str]:
        body = parse_stream(await read_body(receive, request.headers, self.settings.max_body))
        call = self._call(request, RowForm.JSON, body.rows, body.row_count, body.options)
        head = [(b"x-request-id", request.id.encode()), *extra]
        pieces = self.service.stream(call)
        return await send_events(pieces, receive, send, head, self._limit(call)), call.version

    def _call(
        self,
        request: Request,
        form: RowForm,
        rows: Any,  # noqa: ANN401 - as the form has it
        count: int,
        options: Mapping[str, Any],
    ) -> ModelCall:
        if count > self.settings.max_rows:
            raise BadRequestError(
                f"The request has {count} rows; the most is {self.settings.max_rows} (max_rows). Send it in parts.",
                "too_many_rows",
                413,
            )
        target, headers = request.target, request.headers
        return ModelCall(
            target.model,
            form,
            rows,
            count,
            target.version,
            request.id,
            requests.timeout_of(headers),
            headers.get(b"x-batch-apart", b"").decode("latin-1"),
            requests.is_bulk(headers),
            requests.traceparent_of(headers),
            options,
            request.client,
        )

    async def _answer(self, request: Request, call: ModelCall) -> Prediction:
        """Ask the service; a client that goes cancels that, and so does a service that does not end."""
        connection = request.connection
        task = asyncio.current_task()
        assert task is not None
        overdue: list[bool] = []
        watch = asyncio.get_running_loop().call_later(self._limit(call), _give_up, task, overdue)
        if connection is not None:
            connection.waiting = task
        try:
            return await self.service.predict(call)
        except asyncio.CancelledError:
            if overdue:
                raise _too_late(self._limit(call)) from None
            if connection is not None and connection.is_lost:
                raise ClientGoneError from None
            if self.is_ending:
                raise ServingError(
                    "The server ends before the call does. Try again.", 503, "shutting_down", 1.0
                ) from None
            raise
        finally:
            watch.cancel()
            if connection is not None:
                connection.waiting = None

    def _limit(self, call: ModelCall) -> float:
        own = call.timeout + _GRACE if call.timeout is not None else self.settings.max_timeout
        return min(own, self.settings.max_timeout)


async def send_problem(
    send: Send,
    error: ServingError,
    request_id: str,
    *,
    is_protocol: bool,
    extra: Extra = (),
) -> None:
    """Answer with *error*."""
    body = problem_body(error, request_id, is_protocol=is_protocol)
    headers: _Headers = [
        (b"content-type", _JSON),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        *extra,
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, -int(-error.retry_after // 1))))
    if error.status == 401:  # noqa: PLR2004 - of HTTP
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_preflight(send: Send, asked: Mapping[bytes, bytes], extra: Extra) -> None:
    """Tell a browser what scripts of another site may send; the gate has let that site in."""
    headers = [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", asked.get(b"access-control-request-headers", b"content-type")),
        (b"access-control-max-age", b"600"),
        *extra,
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _closing(scope: Scope, send: Send) -> Send:
    """Return *send* for an answer after which the connection is closed, and which tells the client so.

    Behind a Service of Kubernetes, only a new connection finds another pod; one that is closed without a word may be so
    while the client's next request is on its way, which is lost then.
    """
    cycle = scope.get("cnflow.cycle")
    if cycle is not None:
        cycle.keep_alive = False

    async def send_last(message: Any) -> None:  # noqa: ANN401 - ASGI's
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_last


def _give_up(task: asyncio.Task[Any], overdue: list[bool]) -> None:
    overdue.append(True)
    task.cancel()


def _facts(request: Request, found: Prediction, extra: Extra) -> _Headers:
    timing = f"queue;dur={found.queue_seconds * 1e3:.2f}, compute;dur={found.compute_seconds * 1e3:.2f}"
    return [
        (b"x-request-id", request.id.encode()),
        (b"x-model-version", found.version.encode("unicode_escape")),
        (b"server-timing", timing.encode()),
        *extra,
    ]


async def _send_answer(request: Request, send: Send, content: bytes, facts: _Headers) -> None:
    if request.connection is not None and request.connection.reply(request.scope, facts, content):
        return
    facts.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": 200, "headers": facts})
    await send({"type": "http.response.body", "body": content})


def _internal(request_id: str) -> ServingError:
    return ServingError(f"The server failed to answer; its log has the reason under {request_id}.", 500, "internal")


def _too_late(seconds: float) -> ServingError:
    return ServingError(f"No answer within {seconds:g} s.", 504, "timeout")

"""Requests that are no calls of models: health, models, metadata, metrics, descriptions and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cnflow import __version__
from cnflow.serving.http import docs_page, models_view
from cnflow.serving.http.admin import admin_routes
from cnflow.serving.http.openapi import document
from cnflow.serving.http.problems import BadRequestError, problem_body
from cnflow.serving.service import ServingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from cnflow.config.http_front import HttpSettings
    from cnflow.serving.http.front import RequestMetrics
    from cnflow.serving.service import ModelService, ServiceAdmin

    Handler = Callable[[Request], Awaitable[Response]]

_encode = msgspec.json.Encoder(enc_hook=str).encode
_WRONG_METHOD = 405
_VERBS = (":predict", ":stream")
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Readiness:
    """Whether the front wants more requests."""

    def __init__(self, service: ModelService) -> None:
        self.is_draining = False
        self._service = service

    @property
    def is_ready(self) -> bool:
        """True unless models are missing, or the end has begun."""
        return not self.is_draining and self._service.is_ready


def build_routes(
    service: ModelService,
    settings: HttpSettings,
    readiness: Readiness,
    metrics: RequestMetrics | None,
    admin: ServiceAdmin | None,
) -> Starlette:
    """Return the app of all addresses that are no calls."""
    routes = [*_Health(readiness).routes(), *_Models(service).routes(), *_Protocol(service).routes()]
    if metrics is not None:
        routes.append(Route("/metrics", _metrics_of(metrics)))
    if settings.docs:
        routes += [*docs_page.routes(), Route("/openapi.json", _openapi_of(service, settings))]
    if admin is not None:
        routes += admin_routes(admin)
    return Starlette(
        routes=routes,
        exception_handlers={ServingError: _on_problem, HTTPException: _on_http_error, Exception: _on_failure},
    )


def as_json(value: object, status: int = 200) -> Response:
    """Return a response with *value*."""
    return Response(_encode(value), status, media_type="application/json")


class _Health:
    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.live),
            Route("/readyz", self.ready),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
        ]

    async def live(self, request: Request) -> Response:
        return as_json({"live": True})

    async def ready(self, request: Request) -> Response:
        is_ready = self._readiness.is_ready
        return as_json({"ready": is_ready}, 200 if is_ready else 503)


class _Models:
    """``/v1/models``, whose fields begin with those of KServe's V1."""

    def __init__(self, service: ModelService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [Route("/v1/models", self.all), Route("/v1/models/{name}", self.one)]

    async def all(self, request: Request) -> Response:
        models = self._service.models()
        return as_json({"models": list(models), "details": [models_view.model_view(each) for each in models.values()]})

    async def one(self, request: Request) -> Response:
        name, version = _split(request.path_params["name"])
        if request.url.path.endswith(_VERBS):
            raise HTTPException(405, headers={"allow": "POST"})
        found = models_view.find_model(self._service.models(), name, version)
        return as_json(models_view.model_view(found))


class _Protocol:
    """The Open Inference Protocol, and what Triton's clients ask besides."""

    def __init__(self, service: ModelService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        found = [Route("/v2", self.server), Route("/v2/", self.server)]
        for tail, handler in (("", self.model), ("/ready", self.ready), ("/config", self.config)):
            found.append(Route("/v2/models/{name}" + tail, handler))
            found.append(Route("/v2/models/{name}/versions/{version}" + tail, handler))
        found.append(Route("/v2/repository/index", self.index, methods=["POST"]))
        found.append(Route("/v2/repository/models/{name}/{verb}", self.repository, methods=["POST"]))
        return found

    async def server(self, request: Request) -> Response:
        extensions = ["binary_tensor_data", "model_configuration", "model_repository"]
        return as_json({"name": "cnflow", "version": __version__, "extensions": extensions})

    async def model(self, request: Request) -> Response:
        name, version = _asked(request)
        return as_json(models_view.metadata(models_view.find_model(self._service.models(), name, version), version))

    async def ready(self, request: Request) -> Response:
        name, version = _asked(request)
        is_ready = models_view.is_ready(models_view.find_model(self._service.models(), name, version), version)
        return as_json({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    async def config(self, request: Request) -> Response:
        name, version = _asked(request)
        found = models_view.find_model(self._service.models(), name, version)
        return as_json(models_view.triton_config(found, version))

    async def index(self, request: Request) -> Response:
        return as_json(models_view.repository_index(self._service.models()))

    async def repository(self, request: Request) -> Response:
        raise BadRequestError(
            "Models are loaded and unloaded by their configuration, not by requests: `cnflow serve roll`.",
            "not_served",
        )


def _metrics_of(metrics: RequestMetrics) -> Handler:
    async def show(request: Request) -> Response:
        text = metrics.render()
        return PlainTextResponse(text if isinstance(text, str) else await text, media_type=_METRICS)

    return show


def _openapi_of(service: ModelService, settings: HttpSettings) -> Handler:
    has_keys = bool(settings.api_keys or settings.key_file)

    async def show(request: Request) -> Response:
        return as_json(document(service.models(), has_keys=has_keys))

    return show


def _asked(request: Request) -> tuple[str, str]:
    name, version = _split(request.path_params["name"])
    return name, request.path_params.get("version", version)


def _split(name: str) -> tuple[str, str]:
    name, _, version = name.partition("@")
    return name, version


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)
    is_protocol = request.url.path.startswith("/v2")
    body = problem_body(error, request.scope.get("cnflow.request_id", ""), is_protocol=is_protocol)
    headers = {} if error.retry_after is None else {"retry-after": str(max(1, round(error.retry_after)))}
    return Response(body, error.status, headers, "application/json")


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, status, headers = request.url.path, error.status_code, dict(error.headers or {})
    _, colon, verb = path.rpartition("/")[2].partition(":")
    if status == _WRONG_METHOD and colon and path.startswith("/v1/models/") and f":{verb}" not in _VERBS:
        status, headers = 404, {}
    allowed = ", ".join(value for name, value in headers.items() if name.lower() == "allow")
    words = {
        404: f"Nothing is at {path!r}. Models are at /v1/models, are called by {' or '.join(_VERBS)}, and described at "
        "/docs.",
        _WRONG_METHOD: f"{path!r} takes {allowed or 'another method'}, not {request.method}.",
    }
    code = {404: "not_found", _WRONG_METHOD: "wrong_method"}.get(status, "bad_request")
    response = await _on_problem(request, ServingError(words.get(status, error.detail), status, code))
    response.headers.update(headers)
    return response


async def _on_failure(request: Request, error: Exception) -> Response:
    """Answer; Starlette raises *error* again, so that uvicorn logs it."""
    problem = ServingError("The server failed to answer; its log has the reason.", 500, "internal")
    return await _on_problem(request, problem)

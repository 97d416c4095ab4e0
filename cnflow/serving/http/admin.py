"""Addresses that change versions; the gate lets admins' keys in alone.

::

    POST /admin/models/NAME:weights  {"weights": {"VERSION": 9, "VERSION": 1}}
    POST /admin/models/NAME:shadow   {"shares": {"VERSION": 0.1}}
    POST /admin/models/NAME:roll     {"version": "VERSION"}
    POST /admin/models/NAME:back
    POST /admin/drain

Answers are {"done": true} once calls have moved, and 202 with {"done": false} if that takes longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.responses import Response
from starlette.routing import Route

from cnflow.serving.http.problems import BadRequestError
from cnflow.serving.http.request_body import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from cnflow.serving.service import ServiceAdmin

_MOST = 1 << 20
_T = TypeVar("_T")


class _Weights(msgspec.Struct, forbid_unknown_fields=True):
    weights: dict[str, Annotated[float, Meta(ge=0)]]


class _Shadow(msgspec.Struct, forbid_unknown_fields=True):
    shares: dict[str, Annotated[float, Meta(ge=0, le=1)]]


class _Roll(msgspec.Struct, forbid_unknown_fields=True):
    version: str


def admin_routes(admin: ServiceAdmin) -> list[Route]:
    """Return the addresses that change what *admin* does."""
    found = _Admin(admin)
    handlers = {
        "models/{name}:weights": found.weights,
        "models/{name}:shadow": found.shadow,
        "models/{name}:roll": found.roll,
        "models/{name}:back": found.back,
        "drain": found.drain,
    }
    return [Route(f"/admin/{path}", handler, methods=["POST"]) for path, handler in handlers.items()]


class _Admin:
    def __init__(self, admin: ServiceAdmin) -> None:
        self._admin = admin

    async def weights(self, request: Request) -> Response:
        weights = (await _body(request, _Weights)).weights
        return _done(await self._admin.set_weights(_name(request), weights))

    async def shadow(self, request: Request) -> Response:
        await self._admin.set_shadow(_name(request), (await _body(request, _Shadow)).shares)
        return _done()

    async def roll(self, request: Request) -> Response:
        version = (await _body(request, _Roll)).version
        return _done(await self._admin.roll(_name(request), version))

    async def back(self, request: Request) -> Response:
        return _done(await self._admin.roll_back(_name(request)))

    async def drain(self, request: Request) -> Response:
        await self._admin.drain()
        return _done()


async def _body(request: Request, kind: type[_T]) -> _T:
    body = await read_body(request.receive, dict(request.scope["headers"]), _MOST)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"The body is not as wanted: {error}.") from None


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _done(has_come: bool = True) -> Response:  # noqa: FBT001, FBT002 - its only argument
    """Answer of a change; 202 for one that goes on."""
    if has_come:
        return Response(b'{"done":true}', media_type="application/json")
    return Response(b'{"done":false}', 202, media_type="application/json")

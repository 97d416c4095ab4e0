"""Page that shows what ``/openapi.json`` says, and tries calls; it loads nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

_STATIC = Path(__file__).parent / "static"
_KINDS = {"docs.html": "text/html", "docs.css": "text/css", "docs.js": "text/javascript"}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def routes() -> list[Route]:
    """Return the page and what it loads."""
    return [
        Route("/", _home),
        Route("/docs", _shown("docs.html")),
        Route("/docs.css", _shown("docs.css")),
        Route("/docs.js", _shown("docs.js")),
    ]


async def _home(request: Request) -> Response:
    return RedirectResponse("docs", 307)


def _shown(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = (_STATIC / name).read_bytes()

    async def show(request: Request) -> Response:
        return Response(content, headers=_HEADERS, media_type=_KINDS[name])

    return show

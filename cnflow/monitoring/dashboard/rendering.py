"""Renders the pages of the dashboard: Jinja templates that escape all they show.

::

    page function ──page(request, "run.html", run=...)──> template ──extends──> base.html ──> HTMLResponse

A template takes values of `cnflow.monitoring.queries.views`; names, messages and output in them are of users, and may
be anything.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import jinja2
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard import formats

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from cnflow.monitoring.queries import views
    from cnflow.monitoring.queries.reader import Reader

_HERE = Path(__file__).parent

STATIC = _HERE / "static"
"""Folder of style sheets and scripts."""

_NOT_FOUND = 404

TABS = (
    ("overview", "Overview", ""),
    ("tasks", "Tasks", "/tasks"),
    ("graph", "Graph", "/graph"),
    ("workers", "Workers", "/workers"),
    ("blocks", "Blocks", "/blocks"),
    ("nodes", "Nodes", "/nodes"),
    ("errors", "Errors", "/errors"),
    ("files", "Files", "/files"),
    ("images", "Images", "/images"),
    ("models", "Models", "/models"),
    ("efficiency", "Efficiency", "/efficiency"),
)
"""Pages of a run: name, title, and end of the URL."""


@functools.cache
def environment() -> jinja2.Environment:
    """Return the environment of the templates."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        number=formats.number,
        size=formats.size,
        seconds=formats.seconds,
        moment=formats.moment,
        state=formats.state_label,
        short_digest=formats.short_digest,
        breakable=formats.breakable,
        cause=formats.cause,
    )
    made.globals.update(
        tabs=TABS, percent=formats.percent, bar_parts=formats.bar_parts, ordered_states=formats.ordered_states
    )
    return made


@functools.cache
def digest_of(name: str) -> str:
    """Return a digest of the static file *name*: an address that changes with the content can be cached for ever."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def page(request: Request, template: str, *, status_code: int = 200, **context: object) -> HTMLResponse:
    """Return *template*, filled with *context*.

    Args:
        request: that asks.
        template: name of a file in ``templates``.
        status_code: of HTTP.
        context: values of the template; `run` (a `views.RunView`) makes it a page of that run.
    """
    root = request.scope.get("root_path", "")
    values = {
        "request": request,
        "root": root,
        "run": None,
        "tab": "",
        "csrf": getattr(request.state, "csrf", ""),
        "static": lambda name: f"{root}/static/{name}?{digest_of(name)}",
        **context,
    }
    values |= links(root, cast("views.RunView | None", values["run"]))
    return HTMLResponse(environment().get_template(template).render(values), status_code=status_code)


def links(root: str, run: views.RunView | None) -> dict[str, Callable[..., str]]:
    """Return the functions that make addresses in templates."""
    base = run_address(root, run.id) if run is not None else root

    def url(name: str, *parts: object, **query: object) -> str:
        """Address of the page *name* of the run; *query* without what is empty."""
        path = base if name in {"", "overview"} else f"{base}/{quote(name)}"
        path += "".join(f"/{quote(str(part), safe='')}" for part in parts)
        given = {key: value for key, value in query.items() if value not in {None, ""}}
        return f"{path}?{urlencode(given)}" if given else path

    return {
        "url": url,
        "task_url": lambda task: url("tasks", task),
        "run_url": lambda run_id, tab="": f"{run_address(root, run_id)}{tab}",
    }


def run_address(root: str, run_id: str) -> str:
    """Return the address of the page of a run."""
    return f"{root}/runs/{quote(run_id, safe='')}"


def reader_of(request: Request) -> Reader:
    """Return the reader of the database."""
    return cast("Reader", request.app.state.reader)


def run_of(request: Request) -> views.RunView:
    """Return the run that the address names.

    Raises:
        HTTPException: 404, there is none.
    """
    try:
        return reader_of(request).run(request.path_params["run"])
    except ConfigurationError as error:
        raise HTTPException(_NOT_FOUND, str(error)) from error


def error_page(request: Request, error: Exception) -> HTMLResponse:
    """Return the page that explains *error*: what is not there, or what went wrong; for Starlette's handlers."""
    status = getattr(error, "status_code", 500)
    detail: Any = getattr(error, "detail", "") or str(error)
    return page(request, "error.html", status_code=status, status=status, detail=str(detail))

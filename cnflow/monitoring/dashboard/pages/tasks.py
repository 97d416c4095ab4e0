"""Page of a run's tasks: filtered, searched, and paged by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import UnknownNameError
from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of
from cnflow.monitoring.queries.filters import STATES, parse_filter, words_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LIMIT = 100
"""Tasks of one page."""

MOST = 1000

_LABELS = {
    "state": "state",
    "app": "app",
    "host": "host",
    "image": "image",
    "executor": "executor",
    "error_group": "cause",
    "text": "text",
}

GROUPS = ("unfinished", "any_failure", "ended")
"""Names of several states."""


def tasks(request: Request) -> Response:
    """Show tasks; the filter is in the address, so that a list can be shared."""
    reader, run = reader_of(request), run_of(request)
    query, problem = request.query_params, ""
    try:
        where = parse_filter(query)
    except UnknownNameError as error:
        where, problem = parse_filter({}), str(error)
    limit = min(MOST, _number(query.get("limit")) or LIMIT)
    after, before = _number(query.get("after")), _number(query.get("before"))
    words = words_of(where)
    if query.get("state") in GROUPS:
        words["state"] = query["state"]
    kept = words | ({"limit": str(limit)} if limit != LIMIT else {})
    return page(
        request,
        "tasks.html",
        run=run,
        rows=reader.tasks(run.id, where=where, limit=limit, after=after, before=None if after is not None else before),
        words=words,
        kept=kept,
        chips=[(_LABELS[name], word, without(kept, name)) for name, word in words.items()],
        apps=sorted(each.app for each in reader.apps(run.id)),
        states=(*STATES, *GROUPS),
        problem=problem,
        is_first=after is None and before is None,
        limit=limit,
    )


def without(words: dict[str, str], name: str) -> dict[str, str]:
    """Return *words* but for the one called *name*. No I/O."""
    return {each: word for each, word in words.items() if each != name}


def _number(text: str | None) -> int | None:
    """Return the number that is *text*; None where it is none, or too large for a column."""
    return int(text) if text is not None and text.isdecimal() and len(text) <= 18 else None  # noqa: PLR2004

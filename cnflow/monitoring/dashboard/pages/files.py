"""Page of the files that the tasks of a run took or gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LIMIT = 200
"""Files of one page; a task's own files are never torn apart."""


def files(request: Request) -> Response:
    """Show files by task; those of one task may be searched by its page, too."""
    run, query = run_of(request), request.query_params
    text, given = query.get("text", "").strip(), query.get("after", "")
    after = int(given) if given.isdecimal() and len(given) <= 18 else -1  # noqa: PLR2004 - fits a column
    found = list(reader_of(request).files(run.id, text=text, limit=LIMIT, after=after))
    return page(
        request,
        "files.html",
        run=run,
        files=found,
        text=text,
        after=after,
        next=found[-1].task if len(found) >= LIMIT else None,
    )

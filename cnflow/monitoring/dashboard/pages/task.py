"""Page of one task: its tries, arguments, resources and output, why it waits, and why it failed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard.pages import output as outputs
from cnflow.monitoring.dashboard.pages.progress import in_order, is_final, timeline
from cnflow.monitoring.dashboard.rendering import page, reader_of, run_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cnflow.monitoring.queries import views

STREAMS = ("stdout", "stderr", "log")
"""Files of a task's own, and its lines in the log of its block."""

_NOT_FOUND = 404
_LINKS_SHOWN = 200
_NO_FILES = {"None", "[]", "()"}


def task(request: Request) -> Response:
    """Show a task."""
    run = run_of(request)
    detail = _detail(request, run)
    now = _until(run, detail)
    failed = [each for each in detail.tries if each.error or each.error_type]
    return page(
        request,
        "task.html",
        run=run,
        task=detail.task,
        detail=detail,
        timeline=timeline(detail, now),
        statuses=in_order(detail.statuses),
        failed=failed[::-1],
        streams=_streams(detail),
        is_final=is_final(detail.task.state) or run.state != "running",
        is_live=_is_live(request, run),
        waits_for=_first_links(detail.depends),
        needed_by=_first_links(detail.needed_by),
        inputs=_named(detail.inputs),
        outputs=_named(detail.outputs),
        now=now,
    )


def output(request: Request) -> Response:
    """Return as JSON what a task has printed since the position *after*."""
    run, stream = run_of(request), request.path_params["stream"]
    if stream not in STREAMS:
        raise HTTPException(_NOT_FOUND, f"There is no stream {stream!r}; a task has {', '.join(STREAMS)}.")
    detail = _detail(request, run)
    has_folder = reader_of(request).has_folder(run)
    found = outputs.sources(detail, Path(run.run_dir), stream) if has_folder else []
    part = outputs.all_parts(found, request.query_params.get("after", ""))
    ended = is_final(detail.task.state) or run.state != "running"
    reply = {
        "text": part.text,
        "position": part.position,
        "skipped": part.skipped,
        "source": ", ".join(str(each.path) for each in found),
        "is_final": ended and not part.text,
        "note": note(detail, run, found) if has_folder else f"The folder is that of a later run by now: {run.run_dir}",
    }
    return JSONResponse(reply, headers={"Cache-Control": "no-store"})


def why(request: Request) -> Response:
    """Return the run's own explanation of what an unfinished task waits for; empty where there is none."""
    run, number = run_of(request), request.path_params["task"]
    text = ""
    if _is_live(request, run):
        with contextlib.suppress(ConfigurationError):  # ended meanwhile, or does not know the task any more
            lines = request.app.state.live.ask(run.run_dir, {"ask": "explain", "task": int(number)}).get("lines", ())
            text = "\n".join(str(line) for line in lines)
    return PlainTextResponse(text, headers={"Cache-Control": "no-store"})


def note(detail: views.TaskDetail, run: views.RunView, found: list[outputs.Source]) -> str:
    """Return why there may be nothing to see of a task's output; empty where it is plain. No I/O but a look."""
    if detail.memoized:
        return "It did not run: its result was found in the cache."
    if detail.task.state == "dependency_failed":
        return "It did not run: a task that it depends on failed."
    if found and not any(each.path.exists() for each in found):
        return f"The file is not on this machine: {found[0].path}" if is_final(detail.task.state) else ""
    if not found and not Path(run.run_dir).is_dir():
        return f"The folder of the run is not on this machine: {run.run_dir}"
    if not found and detail.tries:
        return "It has no log of its own: a task in a thread of the driver prints where the driver does."
    why = outputs.problem(found)
    return f"{found[0].path} cannot be read: {why}" if why else ""


def _until(run: views.RunView, detail: views.TaskDetail) -> float:
    """Return the time up to which an unfinished task is drawn: no longer than its run went on."""
    if run.state == "running":
        return time.time()
    return run.ended or max((each.time for each in detail.statuses), default=run.began)


def _is_live(request: Request, run: views.RunView) -> bool:
    """Whether the run can be asked: it goes on, on this machine."""
    if run.state != "running" or not reader_of(request).has_folder(run):
        return False
    return bool(request.app.state.live.is_live(run.run_dir))


def _detail(request: Request, run: views.RunView) -> views.TaskDetail:
    try:
        return reader_of(request).task(run.id, request.path_params["task"])
    except ConfigurationError as error:
        raise HTTPException(_NOT_FOUND, str(error)) from error


def _streams(detail: views.TaskDetail) -> list[tuple[str, str]]:
    """Return the boxes of output: the name of the stream, and its title."""
    own = [(name, name) for name in ("stdout", "stderr") if getattr(detail, name)]
    if len(own) == len({detail.stdout, detail.stderr} - {""}):
        return own if len(own) > 1 else [*own, ("log", "Output" if not own else "Other output")]
    return [("stdout", "stdout and stderr")]


def _named(files: str) -> str:
    """Return *files*, which Parsl's own databases call ``None`` where there are none."""
    return "" if files in _NO_FILES else files


def _first_links(tasks: list[int]) -> tuple[list[int], int]:
    """Return the first tasks, and how many more there are."""
    return tasks[:_LINKS_SHOWN], max(0, len(tasks) - _LINKS_SHOWN)

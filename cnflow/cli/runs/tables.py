"""Formats tasks and runs for a terminal: values in, text out. No I/O.

Names and texts of the user's tasks may hold anything: characters that would steer a terminal are replaced.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from cnflow.text import align_columns, amount_of_memory, brief_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.cli.runs.source import LiveTask, TaskList
    from cnflow.monitoring.queries.views import Page, StatusView, TaskDetail, TaskView, TryView

_LEAST_ERROR = 20
"""Characters of an error that are shown however narrow the terminal is."""

_RIGHT = {0, 5, 6}


def printable(text: str) -> str:
    """*text* in one line, without characters that steer a terminal."""
    return "".join(mark if mark.isprintable() else " " for mark in " ".join(text.split()))


def printable_lines(text: str) -> list[str]:
    """Lines of *text*, each without characters that steer a terminal."""
    return ["".join(mark if mark.isprintable() else " " for mark in line.expandtabs()) for line in text.splitlines()]


def task_table(found: TaskList, width: int) -> str:
    """Return a table with a row for each task, and a line on those that are not in it."""
    lines = _notes(found)
    if not found.page.tasks:
        return "\n".join(["No task matches.", *lines])
    head = ("task", "app", "state", "executor", "host", "tries", "ran", "error")
    rows = [head, *(_row(task) for task in found.page.tasks)]
    table = align_columns(rows, _RIGHT).splitlines()
    before = table[0].index("error")
    cut = max(width, before + _LEAST_ERROR)
    return "\n".join([*(line[:cut].rstrip() for line in table), *lines])


def _row(task: TaskView) -> tuple[str, ...]:
    return (
        str(task.id),
        printable(task.app),
        task.state,
        printable(task.executor),
        printable(task.host) or "-",
        str(task.tries),
        _seconds(task.run_seconds),
        printable(task.error) or "-",
    )


def _notes(found: TaskList) -> list[str]:
    page: Page = found.page
    notes = [f"more: add --after {page.next}, or another --limit"] if page.next is not None else []
    if found.unlisted:
        notes.append(
            f"{found.unlisted} finished tasks are not listed: without Config(monitoring=True) a run only counts them"
        )
    return notes


def recorded_task(detail: TaskDetail, explanation: Sequence[str]) -> list[str]:
    """Return paragraphs on a task of the database."""
    task = detail.task
    lines = [f"Task {task.id} ({printable(task.app)}): {task.state}"]
    facts = [
        ("arguments", printable(detail.arguments)),
        ("needs", _ids(detail.depends)),
        ("needed by", _ids(detail.needed_by)),
        ("image", printable(task.image)),
        ("asked for", _asked(detail.resources)),
        ("inputs", _files(detail.inputs)),
        ("outputs", _files(detail.outputs)),
        ("stdout", printable(detail.stdout)),
        ("stderr", printable(detail.stderr)),
        ("cache", "its result was found there" if detail.memoized and not detail.tries else ""),
    ]
    lines += [f"  {name:10}{text}" for name, text in facts if text]
    lines += [line for attempt in detail.tries for line in _try_lines(attempt)]
    lines += _timeline(detail.statuses)
    if detail.files:
        head = ("file", "direction", "state", "size", "took")
        rows = [
            (printable(file.url), file.direction, file.state, _size(file.bytes), _seconds(file.seconds))
            for file in detail.files
        ]
        lines += ["files", *(f"  {line}" for line in align_columns([head, *rows], {3, 4}).splitlines())]
    return lines + _why(explanation, task.state)


def live_task(detail: LiveTask, explanation: Sequence[str]) -> list[str]:
    """Return lines on a task of a live run without monitoring."""
    task = detail.task
    if task is None:
        return [*map(printable, explanation)]
    lines = [f"Task {task.id} ({printable(task.app)}): {task.state}"]
    facts = [
        ("executor", printable(task.executor)),
        ("host", printable(task.host)),
        ("image", printable(task.image)),
        ("needs", _ids(detail.depends)),
        ("tries", str(task.tries)),
        ("ran", "" if task.run_seconds is None else brief_duration(task.run_seconds)),
    ]
    lines += [f"  {name:10}{text}" for name, text in facts if text]
    errors = detail.errors or ([task.error] if task.error else [])
    lines += [f"  error     {printable(error)}" for error in errors]
    return lines + _why(explanation, task.state)


def _try_lines(attempt: TryView) -> list[str]:
    place = " / ".join(filter(None, (attempt.executor, attempt.block, attempt.host)))
    worker = "" if attempt.worker is None else f", worker {attempt.worker}"
    ran = attempt.ended - attempt.running if attempt.ended and attempt.running else None
    used = [
        ("ran", _seconds(ran)),
        ("cpu", _seconds(attempt.cpu_seconds)),
        ("peak", _size(attempt.peak_rss_bytes)),
        ("read", _size(attempt.read_bytes)),
        ("written", _size(attempt.written_bytes)),
        ("GPU memory", _size(attempt.gpu_peak_bytes)),
        ("exit code", "-" if attempt.exit_code is None else str(attempt.exit_code)),
        ("signal", attempt.signal or "-"),
    ]
    lines = [f"try {attempt.number}: {attempt.state}{', ' if place else ''}{printable(place)}{worker}"]
    figures = ", ".join(f"{name} {value}" for name, value in used if value != "-")
    lines += [f"  {figures}"] if figures else []
    for title, text in (("", attempt.error), ("traceback", attempt.traceback), ("stderr", attempt.stderr_tail)):
        parts = printable_lines(text)
        lines += [f"  {title}"] if title and parts else []
        lines += [f"  {'  ' if title else ''}{part}" for part in parts]
    return lines


def _timeline(statuses: Sequence[StatusView]) -> list[str]:
    if not statuses:
        return []
    first = statuses[0].time
    rows = [
        (_clock(each.time), f"+{brief_duration(each.time - first)}", each.state, str(each.number)) for each in statuses
    ]
    table = align_columns([("time", "after", "state", "try"), *rows], {1, 3})
    return ["timeline", *(f"  {line}" for line in table.splitlines())]


def _why(explanation: Sequence[str], state: str) -> list[str]:
    """Lines of *explanation* of a task that is not final; the others tell nothing more."""
    if not explanation or state in {"done", "failed", "dependency_failed", "cancelled"}:
        return []
    return ["why it has no result yet", *(f"  {printable(line)}" for line in explanation)]


def _asked(resources: Mapping[str, object]) -> str:
    """``cores 2, memory 4 GiB``."""
    parts = [
        f"{name} {amount_of_memory(value) if name in {'memory', 'disk'} and isinstance(value, int) else value}"
        for name, value in resources.items()
    ]
    return printable(", ".join(parts))


def _files(urls: str) -> str:
    return "" if urls in {"None", "[]"} else printable(urls)  # as Parsl's database has none


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment)) + f".{int(moment % 1 * 1000):03d}"


def _ids(tasks: Sequence[int], most: int = 20) -> str:
    more = f" and {len(tasks) - most} more" if len(tasks) > most else ""
    return ", ".join(map(str, tasks[:most])) + more


def _seconds(value: float | None) -> str:
    return "-" if value is None else brief_duration(value)


def _size(value: int | None) -> str:
    return "-" if value is None else amount_of_memory(value)


def tasks_as_json(found: TaskList) -> dict[str, object]:
    """Return a list of tasks as JSON has it."""
    page: dict[str, object] = msgspec.to_builtins(found.page)
    return {**page, "unlisted": found.unlisted}


def task_as_json(detail: TaskDetail | LiveTask, explanation: Sequence[str]) -> dict[str, object]:
    """Return one task as JSON has it."""
    return {**msgspec.to_builtins(detail), "explanation": [*explanation]}

"""Prints the logs of a run: `cnflow logs`.

::

    TASK ───> its files (stdout=, stderr=), and its lines in the logs of all blocks
    BLOCK ──> the log of the block, of an interchange, or of all blocks of an executor
              --follow: again every PERIOD, until the task or the run has ended
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.cli.runs.lookup import RUNS
from cnflow.control_socket import ask, find_live_run
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.log_rotation import OLDER
from cnflow.run_logs.files import GrowingFile, block_logs, interchange_logs
from cnflow.run_logs.lines import as_json, as_text, lines_of_tasks, task_of
from cnflow.run_logs.task_files import files_of
from cnflow.text import align_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Write = Callable[[str], None]
    Show = Callable[["_Line"], None]

PERIOD = 0.2
"""Seconds between two looks with ``--follow``."""


class _Line(NamedTuple):
    """A line, and where it is from."""

    line: bytes
    log: str
    """Name of the log of a block or an interchange; empty for a file of a task's stream."""

    task: int = -1
    stream: str = ""

    def text(self) -> str:
        if self.stream:  # the user's own line, whatever it looks like
            return f"{self.stream} | {self.line.decode(errors='replace')}"
        return as_text(self.line).decode(errors="replace")

    def json(self) -> str:
        if self.stream:
            own = {"task": self.task, "stream": self.stream, "message": self.line.decode(errors="replace")}
            return json.dumps(own, ensure_ascii=False)
        executor, _, block = self.log.partition("/")
        return json.dumps(as_json(self.line, {"executor": executor, "block": block}), ensure_ascii=False)


def show_logs(what: str, place: Path, *, follow: bool, last: int, write: Write, is_json: bool = False) -> None:
    """Print what *what* names, or a list of the logs if it is empty.

    Args:
        what: id of a task, or name of a log.
        place: folder of a run, or of runs, or the number of a run in ``runinfo``.
        follow: go on until the task, or the run, has ended.
        last: number of lines to begin with; 0 is all.
        write: takes each line.
        is_json: print each line as a JSON object with the ids that it has.

    Raises:
        ConfigurationError: there is no such run, task or log; the message names what there is.
    """
    run = _find_run(place)
    show: Show = (lambda line: write(line.json())) if is_json else (lambda line: write(line.text()))
    if not what:
        for line in _list_of(run, is_json=is_json):
            write(line)
    elif what.isdigit():
        with contextlib.closing(_TaskLog(run, int(what))) as of_task:
            _show_task(of_task, follow=follow, last=last, show=show, write=(lambda _: None) if is_json else write)
    else:
        with contextlib.closing(_Log(run, what)) as log:
            _show(log, follow=follow, last=last, show=show)


def _find_run(place: Path) -> Path:
    numbered = Path(RUNS) / place
    if not place.is_dir() and numbered.is_dir():
        place = numbered
    try:
        return find_live_run(place)
    except ConfigurationError:
        runs = [entry for entry in place.iterdir() if entry.name.isdigit()] if place.is_dir() else []
        if runs:
            return max(runs, key=lambda entry: int(entry.name))
        if place.is_dir() and place.name.isdigit():
            return place
        raise


def _list_of(run: Path, *, is_json: bool) -> list[str]:
    logs = _all_logs(run)
    if is_json:
        return [json.dumps({"log": name, "bytes": int(_size(path)), "file": str(path)}) for name, path in logs.items()]
    if not logs:
        return [f"The run in {run} has no logs of blocks: its tasks ran in threads, or no block was started."]
    rows = [(name, _size(path), str(path)) for name, path in logs.items()]
    return align_columns([("log", "bytes", "file"), *rows], right={1}).splitlines()


def _size(path: Path) -> str:
    files = [file for file in (path, path.with_name(path.name + OLDER)) if file.exists()]
    return str(sum(file.stat().st_size for file in files))


def _all_logs(run: Path) -> dict[str, Path]:
    return {**block_logs(run), **interchange_logs(run)}


def _state_of(run: Path, task: int | None = None) -> dict[str, Any]:
    """Ask a live run; empty if it has ended."""
    try:
        return ask(run, {"ask": "task", "task": task or 0})
    except OSError:
        return {}


class _Log:
    """Logs that a name stands for."""

    def __init__(self, run: Path, name: str) -> None:
        self.run = run
        self._name = name
        self._files: dict[str, GrowingFile] = {}
        known = _all_logs(run)
        if not any(self._is_meant(each) for each in known):
            raise UnknownNameError("log of a task or block", name, known)

    def _is_meant(self, name: str) -> bool:
        return name == self._name or (name.partition("/")[0] == self._name and not name.endswith("/interchange"))

    def new_lines(self) -> Iterator[_Line]:
        """Yield the lines that came since the last call."""
        for name, path in _all_logs(self.run).items():
            if self._is_meant(name) and name not in self._files:
                self._files[name] = GrowingFile(path)
        for name, file in self._files.items():
            while lines := file.new_lines():
                yield from (_Line(line, name) for line in lines)

    def last_lines(self) -> Iterator[_Line]:
        """Yield lines without an end."""
        for name, file in self._files.items():
            yield from (_Line(line, name) for line in file.last_line())

    def has_ended(self) -> bool:
        """Return whether no line will come any more."""
        return not _state_of(self.run)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


class _TaskLog:
    """Lines of one task in all logs, and the files of its streams."""

    def __init__(self, run: Path, task: int) -> None:
        self.run = run
        self.task = task
        self.files = files_of(run, task)
        self._logs: dict[str, GrowingFile] = {}
        self._streams = {name: GrowingFile(path) for name, path in self.files.items()}

    def new_lines(self) -> Iterator[_Line]:
        """Yield the lines that came since the last call."""
        for name, path in block_logs(self.run).items():
            if name not in self._logs:
                self._logs[name] = GrowingFile(path)
        for name, file in self._logs.items():
            while lines := file.new_lines():
                yield from (_Line(line, name) for line in lines_of_tasks(lines, self.task))
        for name, file in self._streams.items():
            while lines := file.new_lines():
                yield from (_Line(line, "", self.task, name) for line in lines)

    def last_lines(self) -> Iterator[_Line]:
        """Yield lines without an end."""
        for name, file in self._streams.items():
            yield from (_Line(line, "", self.task, name) for line in file.last_line())

    def has_ended(self) -> bool:
        """Return whether no line will come any more."""
        state = _state_of(self.run, self.task)
        return not state or bool(state["is_final"])

    def close(self) -> None:
        """Close the files."""
        for file in (*self._logs.values(), *self._streams.values()):
            file.close()


def _show_task(log: _TaskLog, *, follow: bool, last: int, show: Show, write: Write) -> None:
    state = _state_of(log.run, log.task)
    if state and not state["exists"]:
        raise ConfigurationError(f"The run in {log.run} has no task {log.task}: it has not submitted it.")
    if state and state["runs_in_driver"] and not log.files:
        write(f"{state['title']} runs in the driver: what it prints is among the script's own output.")
        return
    printed = 0

    def count(line: _Line) -> None:
        nonlocal printed
        printed += bool(line.stream) or task_of(line.line) == log.task
        show(line)

    _show(log, follow=follow, last=last, show=count)
    if not printed:
        write(_why_nothing(log, is_live=bool(state)))


def _why_nothing(log: _TaskLog, *, is_live: bool) -> str:
    if log.files:
        places = ", ".join(str(path) for path in log.files.values())
        return f"Task {log.task} has written nothing to {places}, or the file is on another machine."
    so_far = " so far" if is_live else ""
    return (
        f"The logs in {log.run} have no output of task {log.task}{so_far}: it printed nothing, was not run, ran in a "
        "thread of the driver, or is older than what Config(log_size=...) keeps."
    )


def _show(log: _Log | _TaskLog, *, follow: bool, last: int, show: Show) -> None:
    lines: Iterable[_Line] = log.new_lines()
    _show_all(deque(lines, last) if last else lines, show)
    while follow:
        has_ended = log.has_ended()  # asked first: what came before the end is shown
        if not has_ended:
            time.sleep(PERIOD)
        _show_all(log.new_lines(), show)
        if has_ended:
            break
    _show_all(log.last_lines(), show)


def _show_all(lines: Iterable[_Line], show: Show) -> None:
    for line in lines:
        show(line)

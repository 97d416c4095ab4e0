"""What a task has printed: the end of its files or of its block's log, and then what is added to it.

::

    part(source, "")       ──> last bytes, and a position
    part(source, position) ──> what was written since, and the next position; of a file that is shorter by now, all

At most `MOST` bytes are read for an answer, whatever the size of the file.
"""

from __future__ import annotations

import codecs
import re
from typing import IO, TYPE_CHECKING, NamedTuple

from cnflow.monitoring.dashboard.log_parts import open_log
from cnflow.run_logs.files import block_logs
from cnflow.run_logs.lines import as_text, lines_of_tasks
from cnflow.run_logs.task_files import FILE, files_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnflow.monitoring.queries import views

MOST = 256 * 1024
"""Bytes of text in one answer."""

MOST_OF_LOG = 8 * 2**20
"""Bytes of a block's log, which has lines of many tasks, that are read for one answer."""

_LOGS_SEARCHED = 8
"""Logs of blocks that are searched for a task whose block is not known yet."""

_MOST_FOUND = 1_000
_found: dict[tuple[str, int, float | None], dict[str, Path]] = {}
"""Files of tasks that were looked at, by folder of the run, task, and time of its submission."""

_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
"""Sequences that colour a terminal or move its cursor, and other characters that are no text."""


class Source(NamedTuple):
    """Where output lies."""

    path: Path
    task: int | None = None
    """Its lines in the log of a block; None for a file of its own."""

    named_by: tuple[Path, ...] = ()
    """As of `open_log`."""


class Part(NamedTuple):
    """Text that was read, and the position after it."""

    text: str
    position: str
    skipped: int = 0
    """Bytes before it that were left out."""


def sources(detail: views.TaskDetail, run_dir: Path, stream: str) -> list[Source]:
    """Return where *stream* (``stdout``, ``stderr`` or ``log``) of a task lies; none where nothing was written."""
    task = detail.task.id
    if stream != "log":
        path = _files(run_dir, detail.task).get(stream)
        return [Source(path, None, (run_dir, run_dir / FILE))] if path is not None else []
    logs = block_logs(run_dir)
    places = [f"{each.executor}/{each.block}" for each in detail.tries if each.block]
    known = [logs[place] for place in dict.fromkeys(places) if place in logs]
    own = [path for name, path in logs.items() if name.startswith(f"{detail.task.executor}/")]
    return [Source(path, task, (run_dir, path.parent)) for path in (known or own[-_LOGS_SEARCHED:])]


def _files(run_dir: Path, task: views.TaskView) -> dict[str, Path]:
    """Return the files of *task*; those that were found are kept: their list has a line for each task of the run."""
    key = (str(run_dir), task.id, task.submitted)  # a later run may have the folder
    files = _found.get(key)
    if files is None:
        files = files_of(run_dir, task.id)
        if files:  # else they may still come
            while len(_found) >= _MOST_FOUND:
                _found.pop(next(iter(_found)), None)
            _found[key] = files
    return files


def all_parts(found: Sequence[Source], position: str) -> Part:
    """Return what is new in all of *found*; *position* has one place for each, separated by spaces."""
    before = position.split(" ") if position else []
    parts = [part(source, before[n] if n < len(before) else "") for n, source in enumerate(found)]
    return Part(
        "".join(each.text for each in parts),
        " ".join(each.position for each in parts),
        sum(each.skipped for each in parts if not each.text or each.skipped),
    )


def part(source: Source, position: str) -> Part:
    """Return what is new in *source*; an empty text where the file is not there, or is no plain file."""
    try:
        with open_log(source.path, source.named_by) as file:
            return _read(file, source, position)
    except OSError:
        return Part("", position)


def problem(found: Sequence[Source]) -> str:
    """Return why none of *found* can be read; empty where one can."""
    words = ""
    for source in found:
        try:
            open_log(source.path, source.named_by).close()
        except OSError as error:
            words = error.strerror or str(error)
        else:
            return ""
    return words


def _read(file: IO[bytes], source: Source, position: str) -> Part:
    most = MOST if source.task is None else MOST_OF_LOG
    length = file.seek(0, 2)
    start = _place(position, length)
    skipped = 0
    if start is None:
        start = skipped = max(0, length - most)
    file.seek(start)
    data = file.read(most)
    if skipped:  # begins with a whole line
        cut = data.find(b"\n") + 1
        data, start, skipped = data[cut:], start + cut, skipped + cut
    if source.task is not None:
        end = data.rfind(b"\n") + 1 or (len(data) if len(data) == most else 0)  # a line without an end is passed by
        lines = lines_of_tasks(data[:end].split(b"\n")[:-1], source.task)
        text = b"".join(_without_title(line) + b"\n" for line in lines)[-MOST:].decode(errors="replace")
        return Part(plain(text), str(start + end), 0)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(data)
    return Part(plain(text), str(start + len(data) - len(decoder.getstate()[0])), skipped)


def _without_title(line: bytes) -> bytes:
    """Return what the task has printed in a *line* of its block's log, of text or of JSON; a line on dropped ones."""
    text = as_text(line)
    _, bar, message = text.partition(b" | ")
    return message if bar else text


def _place(position: str, length: int) -> int | None:
    """Return where to go on; None at the beginning, 0 in a file that is shorter than what was read of it."""
    if not position.isdecimal():
        return None
    return int(position) if len(position) < 19 and int(position) <= length else 0  # noqa: PLR2004 - fits a file


def plain(text: str) -> str:
    """Return *text* without what only a terminal understands, and what it would have written over. No I/O."""
    lines = text.split("\n")  # no expression: one of these takes a minute for a long line
    return _CONTROL.sub("", "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines))

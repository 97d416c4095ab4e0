"""Notes on what the id of a function has and lacks, for `cnflow explain --cache`. Costs nothing while nobody asks."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_notes: ContextVar[dict[str, list[str]] | None] = ContextVar("notes", default=None)


def note(kind: str, name: str) -> None:
    """Note that an id has, or lacks, the part *name*; *kind* says which."""
    notes = _notes.get()
    if notes is not None and name and name not in notes.setdefault(kind, []):
        notes[kind].append(name)


@contextlib.contextmanager
def notes() -> Iterator[dict[str, list[str]]]:
    """Collect the notes of this block and thread: names by kind."""
    collected: dict[str, list[str]] = {}
    token = _notes.set(collected)
    try:
        yield collected
    finally:
        _notes.reset(token)

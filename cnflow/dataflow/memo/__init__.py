"""Caches the results of apps decorated with ``cache=True``, within a run and from one run to the next.

The way of a key and its result:

    ready task: function, arguments, digest of the image
        │  keys: one digest of all three; code, bytecode and modules identify functions as they were at the call,
        │        values the arguments, third_party_types those of numpy and others, files those of files
        v
    cache.ResultCache.look_up ──> KNOWN  a value of in_memory, or of an earlier run's checkpoint (checkpoint_reader)
        │                     ──> WAIT   an identical call is in flight; looked up again when that has ended
        v RUN
    the task runs; its result is stored in_memory
        │
        v  checkpointer: at once, periodically, or at the end
    store: one SQLite file, runinfo/NNN/checkpoint/tasks.sqlite (checkpoint_paths)

Names are resolved on first use: most runs cache nothing, and do not wait for a database to be imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.dataflow.memo.checkpoint_reader import CheckpointReader
    from cnflow.dataflow.memo.checkpointer import Checkpointer, Mode
    from cnflow.dataflow.memo.explain import explain_cache
    from cnflow.dataflow.memo.files import id_of_file, identify_files
    from cnflow.dataflow.memo.in_memory import InFlight, InMemoryResults
    from cnflow.dataflow.memo.keys import CodeId, id_of_code, key_of
    from cnflow.dataflow.memo.store import CheckpointStore, Entry
    from cnflow.dataflow.memo.values import id_for_memo

__all__ = [
    "CheckpointReader",
    "CheckpointStore",
    "Checkpointer",
    "CodeId",
    "Entry",
    "InFlight",
    "InMemoryResults",
    "Mode",
    "explain_cache",
    "id_for_memo",
    "id_of_code",
    "id_of_file",
    "identify_files",
    "key_of",
]

_HOMES = {
    "CheckpointReader": "checkpoint_reader",
    "CheckpointStore": "store",
    "Checkpointer": "checkpointer",
    "CodeId": "keys",
    "Entry": "store",
    "InFlight": "in_memory",
    "InMemoryResults": "in_memory",
    "Mode": "checkpointer",
    "explain_cache": "explain",
    "id_for_memo": "code",  # not values: code registers functions and classes
    "id_of_code": "keys",
    "id_of_file": "files",
    "identify_files": "files",
    "key_of": "keys",
}


def __getattr__(name: str) -> object:
    """Import *name* from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value

"""Remembers the results of apps decorated with ``cache=True``, within a run and from one run to the next.

`keys` says which calls are the same, `table` holds what is known and who waits for whom, `store` keeps it in a file,
`checkpointer` decides when. The kernel asks before it launches a task and tells when one is done. Names are resolved on
first use: most runs remember nothing, and do not wait for a database to be imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.dataflow.memo.checkpoint_reader import LoadedCheckpoints
    from cnflow.dataflow.memo.checkpointer import Checkpointer, Mode
    from cnflow.dataflow.memo.files import id_of_file, telling_files_apart
    from cnflow.dataflow.memo.in_memory import InFlight, Memo
    from cnflow.dataflow.memo.keys import key_of
    from cnflow.dataflow.memo.store import CheckpointStore, Entry
    from cnflow.dataflow.memo.values import id_for_memo

__all__ = [
    "CheckpointStore",
    "Checkpointer",
    "Entry",
    "InFlight",
    "LoadedCheckpoints",
    "Memo",
    "Mode",
    "id_for_memo",
    "id_of_file",
    "key_of",
    "telling_files_apart",
]

_HOMES = {
    "CheckpointStore": "store",
    "Checkpointer": "checkpointer",
    "Entry": "store",
    "InFlight": "in_memory",
    "LoadedCheckpoints": "checkpoint_reader",
    "Memo": "in_memory",
    "Mode": "checkpointer",
    "id_for_memo": "code",  # which registers how functions and classes are told apart
    "id_of_file": "files",
    "key_of": "keys",
    "telling_files_apart": "files",
}


def __getattr__(name: str) -> object:
    """Import *name* from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value

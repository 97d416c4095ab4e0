"""Remembers the results of apps decorated with ``cache=True``, within a run and from one run to the next.

`keys` says which calls are the same, `table` holds what is known and who waits for whom, `store` keeps it in a file,
`checkpointer` decides when. The kernel asks before it launches a task and tells when one is done.
"""

from cnflow.dataflow.memo import code as _code  # registers how functions and classes are told apart
from cnflow.dataflow.memo.checkpointer import Checkpointer, Mode
from cnflow.dataflow.memo.files import id_of_file, telling_files_apart
from cnflow.dataflow.memo.keys import key_of
from cnflow.dataflow.memo.loaded import LoadedCheckpoints
from cnflow.dataflow.memo.store import CheckpointStore, Entry
from cnflow.dataflow.memo.table import InFlight, Memo
from cnflow.dataflow.memo.values import id_for_memo

del _code

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

"""Record of what a run has started outside its driver, so that nobody has to search for it once the driver is killed.

::

    driver ── before submit: block, its key ──────┐
           ── after: native id ───────────────────┼──> RUN_DIR/ledger, append only ──┬──> load(adopt=RUN_DIR)
           ── its end was confirmed ──────────────┘                                  └──> cnflow clean RUN_DIR
           ── the run ends and nothing is left: the file is removed

No task is written there, and a run without blocks has no ledger.
"""

from cnflow.ledger.executor_ledger import ExecutorLedger
from cnflow.ledger.file import FILE, OpenLedger, RunLedger, new_driver, open_ledger
from cnflow.ledger.records import BlocksLeft, ExecutorStarted
from cnflow.ledger.state import BlockEntry, ExecutorEntry, LedgerState

__all__ = [
    "FILE",
    "BlockEntry",
    "BlocksLeft",
    "ExecutorEntry",
    "ExecutorLedger",
    "ExecutorStarted",
    "LedgerState",
    "OpenLedger",
    "RunLedger",
    "new_driver",
    "open_ledger",
]

"""Spending of a run, and the limit that the user sets for it.

::

    prices ──rate of a type──> clouds' placements ──> BlockStatus.rate ──┐
                                                                         ▼
    Budget(usd=5, per="run") ─────────────────────────────────────────> meter ──> gate in `cnflow.blocks`
                                                                         │
                                                                         └──> store: survives the driver

Nothing here does I/O but `prices` and `store`, which read and write one file each.
"""

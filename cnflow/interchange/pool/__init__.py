"""An interchange that serves several clients: one pool of managers, many drivers.

::

    driver A ── bridge ──┐ DEALER, CURVE                            ┌── managers
    driver B ── bridge ──┴─> ClientPort ──┐              ManagerLink┴── managers
                                          v                  ^
      for each session: DriverLink ──> PoolInterchange ──> StandingInterchange: the machine of any interchange
                        BulkLink          │  fair share: ClientQueue, FairShare
                                          └── PoolReport, ManagerUp ... ──> owner (stdin): the server of the pool

`state` decides, without I/O: whose task is next, and whose is a result. `loop` moves the bytes. A client is the owner
of a key; each driver that uses the key has a session of its own, and shares are those of sessions.
"""

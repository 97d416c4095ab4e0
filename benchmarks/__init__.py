"""Benchmarks: the same work on cnflow, on its peers and on the floor, in one run. `make bench` starts them.

::

    __main__ ── Runner.run ──> child, a process per system ── System ──> workers
        │                         │  work: trip, burst, chain, ...
        │ <── figures, as JSON ───┘
        └── Report ──> table, aims, plot

`systems` adapts each system to one interface. `floor` is a bare loop on the same topology, as fast as Python, msgspec
and ZeroMQ allow; `scale` simulates many managers.
"""

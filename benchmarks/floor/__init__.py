"""Floor: cnflow's processes and batching, and nothing else; the cost of Python, msgspec and ZeroMQ alone.

::

    driver ──DEALER/ROUTER── interchange ──ROUTER/DEALER── manager ──socket pairs── two workers

Every process decodes each task, as cnflow has to, but keeps no state of it: no futures, graph, retries, heartbeats,
windows, records of held tasks, logs, errors, or functions by value. The floor is a yardstick: keep it small and stable.
"""

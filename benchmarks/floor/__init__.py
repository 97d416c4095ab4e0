"""The floor: cnflow's processes and batching with nothing else: what Python, msgspec and ZeroMQ cost by themselves.

driver --DEALER/ROUTER--> interchange --ROUTER/DEALER--> manager --socket pairs--> two workers, and back. Every process
takes each task in hand, as cnflow has to, but keeps no state of it: no futures, graph, retries, heartbeats, windows,
tables of who holds what, logs, errors, or functions by value. It is a yardstick, so keep it small and leave it alone.
"""

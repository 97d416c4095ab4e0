"""Scale of one interchange: the real process, with up to 10,000 simulated managers on real sockets.

``python -m benchmarks.scale`` prints for each number of managers: the throughput, the CPU time of the interchange per
task (which does not depend on other users of the machine's cores), its memory, and the cost of heartbeats. A simulated
manager sends the messages of a real one, and ends every task at once::

    simulation (the driver) <── Stream ──> cnflow.interchange <── ZeroMQ ──> managers, a few processes for all of them

``python -m benchmarks.scale --decisions`` measures the decisions alone: see `benchmarks.scale.decisions`.
"""

"""How far one interchange reaches: the real one, with up to 10,000 simulated managers on real sockets.

``python -m benchmarks.scale`` prints, for each number of managers, how fast tasks go through, what a task costs the
interchange in CPU time (which does not depend on who else uses the machine's few cores), its memory, and the cost of
heartbeats. A simulated manager says what a real one says, and ends every task at once.
"""

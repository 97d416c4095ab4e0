"""Driver's end of the high-throughput executor: an interchange process, and blocks that a provider starts."""

from cnflow.executors.high_throughput.executor import HighThroughputBackend
from cnflow.executors.high_throughput.factory import make_backend

__all__ = ["HighThroughputBackend", "make_backend"]

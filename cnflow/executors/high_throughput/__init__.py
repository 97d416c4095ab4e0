"""The driver's end of the high-throughput executor: an interchange process, and blocks that a provider starts."""

from cnflow.executors.high_throughput.executor import HighThroughputBackend

__all__ = ["HighThroughputBackend"]

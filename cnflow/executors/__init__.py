"""Executors, which run tasks. The names here are settings; their live halves are imported on use."""

from cnflow.config.engine_executors import FuturesExecutor, MPIPoolExecutor
from cnflow.config.executors import ExecutorSettings, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.config.ways import DialIn, Listen, Tunnel

__all__ = [
    "DialIn",
    "ExecutorSettings",
    "FuturesExecutor",
    "HighThroughputExecutor",
    "Listen",
    "MPIPoolExecutor",
    "ThreadPoolExecutor",
    "Tunnel",
]

"""Executors, which run tasks. The names here are settings; their live halves are imported on use."""

from cnflow.config.executors import ExecutorSettings, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.config.ways import DialIn, Listen, Tunnel

__all__ = ["DialIn", "ExecutorSettings", "HighThroughputExecutor", "Listen", "ThreadPoolExecutor", "Tunnel"]

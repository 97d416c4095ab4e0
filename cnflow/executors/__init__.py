"""Executors, which run tasks. The names here are settings; their live halves are imported on use."""

from cnflow.config.executors import ExecutorSettings, HighThroughputExecutor, ThreadPoolExecutor

__all__ = ["ExecutorSettings", "HighThroughputExecutor", "ThreadPoolExecutor"]

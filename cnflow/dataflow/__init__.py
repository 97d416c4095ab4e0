"""The task graph: dependencies, retries, caching, file staging, and the run that users hold.

`state` decides, `loop` acts, `dfk` is the run.
"""

from cnflow.dataflow.dfk import DataFlowKernel, on_load
from cnflow.dataflow.futures.app_future import AppFuture

__all__ = ["AppFuture", "DataFlowKernel", "on_load"]

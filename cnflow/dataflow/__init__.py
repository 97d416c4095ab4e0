"""The graph of tasks: what may run, what failed, what to try again. `machine` decides, `kernel` is its thin shell."""

from cnflow.dataflow.dfk import DataFlowKernel, on_load
from cnflow.dataflow.futures.app_future import AppFuture

__all__ = ["AppFuture", "DataFlowKernel", "on_load"]

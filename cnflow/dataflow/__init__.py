"""The graph of tasks: what may run, what failed, what to try again. `machine` decides, `kernel` is its thin shell."""

from cnflow.dataflow.futures import AppFuture
from cnflow.dataflow.kernel import DataFlowKernel, on_load

__all__ = ["AppFuture", "DataFlowKernel", "on_load"]

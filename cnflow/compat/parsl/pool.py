"""Parsl's `concurrent.futures.Executor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.compat.parsl.runs import load
from cnflow.pool import PoolExecutor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow import Config
    from cnflow.dataflow import DataFlowKernel


class ParslPoolExecutor(PoolExecutor):
    """`cnflow.PoolExecutor` with Parsl's parameters.

    Args:
        config: settings of an own run, which is the loaded one until the pool ends; or
        dfk: an existing run, which goes on after the pool.
        executors: labels of the executors to use.

    Raises:
        ValueError: both *config* and *dfk* are given, or neither.
    """

    def __init__(
        self,
        config: Config | None = None,
        dfk: DataFlowKernel | None = None,
        executors: str | Sequence[str] = "all",
    ) -> None:
        if config is not None and dfk is not None:
            raise ValueError("Specify only one of config or dfk")
        if config is None and dfk is None:
            raise ValueError("Must specify one of config or dfk")
        super().__init__(dfk=load(config) if dfk is None else dfk, executors=executors)
        self._own_run = dfk is None

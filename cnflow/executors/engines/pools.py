"""Makes the executors on pools of `concurrent.futures`: `FuturesExecutor` and `MPIPoolExecutor`."""

from __future__ import annotations

import functools
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from cnflow.config.registry import load
from cnflow.errors import ConfigurationError
from cnflow.executors.engines.executor import EngineExecutor
from cnflow.executors.engines.futures import FuturesEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config.engine_executors import FuturesExecutor, MPIPoolExecutor
    from cnflow.interfaces import RunContext


def make_futures(settings: FuturesExecutor, run: RunContext) -> EngineExecutor:
    """Make the live half of `FuturesExecutor`.

    Raises:
        ConfigurationError: its pool is no `concurrent.futures.Executor`, and nothing that makes one.
    """
    pool: Any = settings.pool
    if isinstance(pool, str):
        pool = load(pool, "The pool")
    if isinstance(pool, Executor):
        if settings.arguments:
            raise ConfigurationError(
                "arguments= are for a pool that cnflow makes, and pool= is one that was made. Give its class."
            )
        return EngineExecutor(settings, run, FuturesEngine(settings.label, None, pool))
    if not callable(pool):
        raise ConfigurationError(
            f"pool={pool!r} is no concurrent.futures.Executor, and no function or class that makes one. For example: "
            "FuturesExecutor(pool=ProcessPoolExecutor, arguments={'max_workers': 4})"
        )
    make = functools.partial(_made, pool, dict(settings.arguments))
    return EngineExecutor(settings, run, FuturesEngine(settings.label, make))


def _made(make: Callable[..., Any], arguments: dict[str, Any]) -> Executor:
    try:
        pool = make(**arguments)
    except Exception as error:
        raise ConfigurationError(f"The pool cannot be made: {type(error).__name__}: {error}.") from error
    if not isinstance(pool, Executor):
        raise ConfigurationError(f"pool= made {pool!r}, which is no concurrent.futures.Executor.")
    return pool


def make_mpi(settings: MPIPoolExecutor, run: RunContext) -> EngineExecutor:
    """Make the live half of `MPIPoolExecutor`.

    Raises:
        ConfigurationError: there is no MPI, or no rank for a worker.
    """
    from cnflow.executors.engines.mpi_client import check_ranks, make_pool  # noqa: PLC0415 - imports MPI

    check_ranks(settings.max_workers)
    return EngineExecutor(settings, run, FuturesEngine(settings.label, functools.partial(make_pool, settings)))

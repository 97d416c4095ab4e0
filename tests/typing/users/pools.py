"""`PoolExecutor` under both checkers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from typing_extensions import assert_type

from cnflow import AppFuture, PoolExecutor

if TYPE_CHECKING:
    import concurrent.futures

    from cnflow.apps import App


def scale(number: int, factor: float = 2.0) -> float:
    return number * factor


def label(number: int, text: str) -> str:
    return f"{text} {number}"


def work(executor: concurrent.futures.Executor) -> float:
    return executor.submit(scale, 1).result()


with PoolExecutor() as pool:
    assert_type(pool.submit(scale, 1), AppFuture[float])
    assert_type(pool.submit(scale, 1, factor=3).result(), float)
    assert_type(pool.submit(scale, pool.submit(math.floor, 1.5)), AppFuture[float])
    assert_type(pool.submit(scale, 1, pool.submit(scale, 1)), AppFuture[float])
    assert_type(pool.submit(max, 1, 2), AppFuture[int])
    assert_type(pool.submit(lambda: "text"), AppFuture[str])
    assert_type(pool.map(scale, range(3)), Iterator[float])
    assert_type(pool.map(label, range(3), ["a", "b", "c"], chunksize=2), Iterator[str])
    assert_type(pool.map(scale, [pool.submit(math.floor, 1.5)], timeout=2), Iterator[float])
    assert_type(pool.map(abs, [-1, -2], buffersize=1), Iterator[int])
    assert_type(list(pool.map(str, [1, 2])), list[str])
    assert_type(pool.get_app(scale)(1, factor=2), AppFuture[float])
    app: App[[int], float] = pool.get_app(scale)
    work(pool)

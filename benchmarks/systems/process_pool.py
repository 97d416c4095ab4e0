"""Python's own process pool, as it comes. It forks, so its start is not comparable with a fresh interpreter's."""

from __future__ import annotations

import functools
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.systems.base import WORKERS, Submit, System

if TYPE_CHECKING:
    from collections.abc import Callable


class ProcessPool(System):
    """No dependencies, no commands."""

    links = False

    def start(self) -> None:
        self._pool = ProcessPoolExecutor(WORKERS)

    def app(self, function: Callable[..., Any]) -> Submit:
        return functools.partial(self._pool.submit, function)

    def stop(self) -> None:
        self._pool.shutdown()

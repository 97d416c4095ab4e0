"""Python's process pool with its defaults. The pool forks, so that its start is not comparable with the others."""

from __future__ import annotations

import functools
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.systems.base import WORKERS, Submit, System

if TYPE_CHECKING:
    from collections.abc import Callable


class ProcessPool(System):
    """Neither dependencies nor commands."""

    links = False

    def start(self) -> None:
        self._pool = ProcessPoolExecutor(WORKERS)

    def app(self, function: Callable[..., Any]) -> Submit:
        return functools.partial(self._pool.submit, function)

    def stop(self) -> None:
        self._pool.shutdown()

"""executorlib with workers that stay (``block_allocation``): its default starts a process for each task."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from executorlib import SingleNodeExecutor

from benchmarks.systems.base import WORKERS, Submit, System

if TYPE_CHECKING:
    from collections.abc import Callable


class Executorlib(System):
    """Futures among the arguments are resolved."""

    def start(self) -> None:
        self._executor = SingleNodeExecutor(max_workers=WORKERS, block_allocation=True, hostname_localhost=True)

    def app(self, function: Callable[..., Any]) -> Submit:
        return functools.partial(self._executor.submit, function)

    def stop(self) -> None:
        self._executor.shutdown()

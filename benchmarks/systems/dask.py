"""Dask's distributed scheduler and two worker processes with one thread each."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from distributed import Client, LocalCluster

from benchmarks.systems.base import WORKERS, Submit, System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Dask(System):
    """Every call is a task of its own (``pure=False``)."""

    def start(self) -> None:
        self._cluster = LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        )
        self._client = Client(self._cluster)

    def app(self, function: Callable[..., Any]) -> Submit:
        return functools.partial(self._client.submit, function, pure=False)

    def results(self, handles: Sequence[Any]) -> list[Any]:
        return list(self._client.gather(list(handles)))

    def stop(self) -> None:
        self._client.close()
        self._cluster.close()

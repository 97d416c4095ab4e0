"""ipyparallel: a controller and two engines, through the load-balanced view."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import ipyparallel

from benchmarks.systems.base import WORKERS, Submit, System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Ipyparallel(System):
    """Tasks can wait for others, but are not given their results."""

    links = False

    def start(self) -> None:
        self._cluster = ipyparallel.Cluster(n=WORKERS, controller_ip="127.0.0.1", log_level=40)
        self._client = self._cluster.start_and_connect_sync()
        self._view = self._client.load_balanced_view()

    def app(self, function: Callable[..., Any]) -> Submit:
        return functools.partial(self._view.apply_async, function)

    def results(self, handles: Sequence[Any]) -> list[Any]:
        return [handle.get() for handle in handles]

    def stop(self) -> None:
        self._client.close()
        self._cluster.stop_cluster_sync()

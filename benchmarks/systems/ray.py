"""Ray on one node with two CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray

from benchmarks.systems.base import WORKERS, Submit, System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Ray(System):
    """References are resolved when they are arguments themselves, not inside a list."""

    def start(self) -> None:
        ray.init(
            address="local",
            num_cpus=WORKERS,
            include_dashboard=False,
            object_store_memory=2 * 1024**3,
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
        )

    def app(self, function: Callable[..., Any]) -> Submit:
        submit: Submit = ray.remote(function).remote
        return submit

    def results(self, handles: Sequence[Any]) -> list[Any]:
        return list(ray.get(list(handles)))

    def stop(self) -> None:
        ray.shutdown()

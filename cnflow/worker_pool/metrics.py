"""Metrics of a pool server in the text format of Prometheus, and the answers to probes. No I/O.

KEDA and a HorizontalPodAutoscaler scale a pool by ``cnflow_pool_slots_wanted``, over Prometheus: tasks that run count,
too, so that their pods stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.prometheus_text import family, sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cnflow.worker_pool.status import PoolStatus


class _Metric(NamedTuple):
    name: str
    kind: str
    description: str


_UP = _Metric("cnflow_pool_up", "gauge", "1 if drivers can connect with the pool.")
_TASKS = _Metric("cnflow_pool_tasks", "gauge", "Tasks of drivers by state: queued (no worker has it) or running.")
_ENDED = _Metric("cnflow_pool_tasks_ended_total", "counter", "Tasks that have ended since the interchange started.")
_SLOTS = _Metric("cnflow_pool_slots_wanted", "gauge", "Workers that all unfinished tasks take at the same time.")
_CLIENTS = _Metric("cnflow_pool_clients", "gauge", "Connected drivers.")
_MANAGERS = _Metric(
    "cnflow_pool_managers", "gauge", "Connected managers: one on each node of a block, one in each pod."
)
_WORKERS = _Metric("cnflow_pool_workers", "gauge", "Workers of the connected managers.")
_BLOCKS = _Metric("cnflow_pool_blocks", "gauge", "Blocks, or pods, by state.")
_RESTARTS = _Metric("cnflow_pool_restarts_total", "counter", "Times that the server has started the pool again.")


def metrics_text(pools: Sequence[PoolStatus]) -> str:
    """Return the metrics of all *pools*."""
    return "".join(f"{line}\n" for line in _lines(pools))


def _lines(pools: Sequence[PoolStatus]) -> Iterator[str]:
    yield from _family(_UP, ((pool, {}, int(pool.is_ready)) for pool in pools))
    yield from _family(
        _TASKS,
        (
            (pool, {"state": state}, number)
            for pool in pools
            for state, number in (("queued", pool.queued), ("running", pool.running))
        ),
    )
    yield from _family(_ENDED, ((pool, {}, pool.ended) for pool in pools))
    yield from _family(_SLOTS, ((pool, {}, pool.slots_wanted) for pool in pools))
    yield from _family(_CLIENTS, ((pool, {}, pool.connected_clients) for pool in pools))
    yield from _family(_MANAGERS, ((pool, {}, pool.managers) for pool in pools))
    yield from _family(_WORKERS, ((pool, {}, pool.workers) for pool in pools))
    yield from _family(
        _BLOCKS, ((pool, {"state": state}, number) for pool in pools for state, number in pool.blocks_by_state.items())
    )
    yield from _family(_RESTARTS, ((pool, {}, pool.restarts) for pool in pools))


def _family(metric: _Metric, samples: Iterable[tuple[PoolStatus, dict[str, str], float]]) -> Iterator[str]:
    lines = (sample(metric.name, {"pool": pool.name, **labels}, value) for pool, labels, value in samples)
    yield from family(metric.name, metric.kind, metric.description, lines)

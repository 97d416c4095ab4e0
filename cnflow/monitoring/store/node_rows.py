"""Rows of blocks, managers, images, samples, and of events that have no table of their own. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cnflow.model import events as ev
from cnflow.model.samples import unpack
from cnflow.monitoring.store.values import known, text_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.model.events import AnyEvent
    from cnflow.monitoring.store.changes import Changes, Row
    from cnflow.monitoring.store.memory import Memory

    Handler = Callable[[AnyEvent, int], None]

BLOCK_STATUS: Mapping[str, str] = {
    "pending": "PENDING",
    "running": "RUNNING",
    "draining": "DRAINING",
    "ended": "SCALED_IN",
    "failed": "FAILED",
    "missing": "MISSING",
    "lost": "MISSING",
}
"""Names of Parsl, by stage of a block."""

FINALS_KEPT = 10_000
"""Tasks, by id, whose final sample is a row of `resource` however short they were. All are in `try`."""

_SHORT = 0.1
"""Seconds of CPU below which the final sample of later tasks is in `try` alone."""


def put_event(
    changes: Changes, number: int, event: AnyEvent, executor: str = "", subject: str = "", text: str = ""
) -> None:
    """Put *event*, which lies at *number* in the journal, into the table `event`."""
    row: Row = {
        "timestamp": event.time,
        "kind": str(type(event).__struct_config__.tag),
        "executor_label": text_or_none(executor),
        "subject": text_or_none(subject),
        "text": text or msgspec.json.encode(event).decode(),
    }
    changes.put("event", (number,), row)


def on_block(changes: Changes) -> Handler:
    """Return what makes rows of `BlockEvent`."""

    def handle(event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.BlockEvent)
        row: Row = {
            "job_id": text_or_none(event.native),
            "reason": text_or_none(event.reason),
            "provider": text_or_none(event.provider),
            "usd": known(event.usd),
        }
        status = BLOCK_STATUS.get(event.state, event.state.upper())
        changes.put("block", (event.executor, event.block, event.time, status), row)

    return handle


def on_manager(changes: Changes, memory: Memory) -> Handler:
    """Return what makes rows of `ManagerEvent`."""

    def handle(event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.ManagerEvent)
        if event.state != "up":
            row: Row = {"active": False, "time_ended": event.time, "reason": text_or_none(event.reason)}
            changes.update("node", (event.manager,), row)
            return
        image = event.digest or event.image
        if image:
            memory.images[event.manager] = image
            _put_image(changes, image, event)
        row = {
            "hostname": event.host,
            "uid": event.manager,
            "block_id": event.block,
            "cpu_count": max(0.0, event.cores),
            "total_memory": max(0, event.memory),
            "active": True,
            "worker_count": event.workers,
            "python_v": event.python,
            "timestamp": event.time,
            "last_heartbeat": event.time,
            "executor_label": event.executor,
            "image": text_or_none(image),
            "gpus": ",".join(event.gpus),
            "time_ended": None,
            "reason": None,
        }
        changes.put("node", (event.manager,), row)

    return handle


def _put_image(changes: Changes, image: str, event: ev.ManagerEvent) -> None:
    row: Row = {
        "reference": event.image,
        "digest": text_or_none(event.digest),
        "image_id": text_or_none(event.image_id),
        "python": text_or_none(event.python),
        "packages": text_or_none(event.packages),
    }
    changes.put("image", (image,), row)


def on_sample(changes: Changes, memory: Memory) -> Handler:
    """Return what makes rows of `ResourceSample`."""

    def handle(event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.ResourceSample)
        put_sample(changes, memory, event)

    return handle


def on_samples(changes: Changes, memory: Memory) -> Handler:
    """Return what makes rows of `SampleBatch`."""

    def handle(event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.SampleBatch)
        samples = unpack(event)
        for sample in samples:
            put_sample(changes, memory, sample)
        if (lost := event.count - len(samples)) > 0:  # of another version, or damaged
            changes.add("workflow", (), {"samples_dropped_count": lost})

    return handle


def put_sample(changes: Changes, memory: Memory, event: ev.ResourceSample) -> None:
    """Put a sample into `resource`, and what it sums up into `try`."""
    attempt = memory.try_of(event.task, event.time)
    used = max(0.0, event.user_seconds) + max(0.0, event.system_seconds)
    summary: Row = {}
    if event.user_seconds >= 0 or event.system_seconds >= 0:
        summary["cpu_seconds"] = used
    for column, value in (
        ("peak_rss_bytes", max(event.peak_bytes, event.resident_bytes)),
        ("read_bytes", event.read_bytes),
        ("written_bytes", event.written_bytes),
        ("gpu_peak_bytes", event.gpu_bytes),
    ):
        if value >= 0:
            summary[column] = value
    if summary:
        changes.update("try", (event.task, attempt), summary)
    if event.is_final and event.task >= FINALS_KEPT and used < _SHORT:
        return
    row: Row = {
        "resource_monitoring_interval": event.interval,
        "psutil_process_pid": event.pid,
        "psutil_process_memory_percent": known(event.memory_percent),
        "psutil_process_children_count": known(event.children),
        "psutil_process_time_user": known(event.user_seconds),
        "psutil_process_time_system": known(event.system_seconds),
        "psutil_process_memory_virtual": known(event.virtual_bytes),
        "psutil_process_memory_resident": known(event.resident_bytes),
        "psutil_process_disk_read": known(event.read_bytes),
        "psutil_process_disk_write": known(event.written_bytes),
        "psutil_process_status": text_or_none(event.status),
        "psutil_cpu_num": str(event.core) if event.core >= 0 else None,
        "psutil_process_num_ctx_switches_voluntary": known(event.voluntary_switches),
        "psutil_process_num_ctx_switches_involuntary": known(event.involuntary_switches),
        "memory_peak": known(event.peak_bytes),
        "gpu_memory": known(event.gpu_bytes),
        "gpu_percent": known(event.gpu_percent),
        "is_final": event.is_final,
    }
    changes.put("resource", (event.task, attempt, event.time), row)


def on_node_sample(changes: Changes) -> Handler:
    """Return what makes rows of `NodeSample`."""

    def handle(event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.NodeSample)
        row: Row = {
            "cpu_percent": known(event.cpu_percent),
            "memory_bytes": known(event.memory_bytes),
            "read_bytes": known(event.read_bytes),
            "written_bytes": known(event.written_bytes),
            "gpu_memory": known(event.gpu_bytes),
            "gpu_percent": known(event.gpu_percent),
            "busy_workers": known(event.busy_workers),
        }
        changes.put("node_resource", (event.manager, event.time), row)
        changes.update("node", (event.manager,), {"last_heartbeat": event.time})

    return handle


def on_other(changes: Changes) -> Handler:
    """Return what makes rows of `InterchangeEvent`."""

    def handle(event: AnyEvent, number: int) -> None:
        assert isinstance(event, ev.InterchangeEvent)
        put_event(changes, number, event, event.executor, "interchange")

    return handle


def on_dropped(changes: Changes) -> Handler:
    """Return what counts `DroppedEvents`."""

    def handle(event: AnyEvent, number: int) -> None:
        assert isinstance(event, ev.DroppedEvents)
        put_event(changes, number, event, "", event.source)
        changes.add("workflow", (), {"samples_dropped_count": event.count})

    return handle

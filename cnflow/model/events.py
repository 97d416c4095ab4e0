"""Events of a run, for `cnflow.interfaces.Sink`: what happened, to what, and when.

::

    task graph ──> TaskEvent              blocks ──> BlockEvent            managers ──> ManagerEvent
    workers ────> WorkerEvent             interchange ──> InterchangeEvent
    anywhere ───> DroppedEvents           (later) managers ──> ResourceSample

Each is a struct whose field `kind` names it in MessagePack and JSON. A field that is not known is empty, or below 0.
"""

from __future__ import annotations

from typing import Union

import msgspec


class Event(msgspec.Struct, kw_only=True, tag_field="kind", gc=False, omit_defaults=True):
    """Something that happened; `time` is in seconds since 1970, by the clock of the machine where it did."""

    time: float


class TaskEvent(Event, tag="task"):
    """A task has another state, as the driver sees it."""

    task: int
    state: str
    """Name of a `cnflow.model.task.TaskState` in lower case."""

    app: str
    executor: str
    attempt: int = 0
    """Number of the attempt, from 0; higher with each retry."""

    reason: str = ""
    """Text of the error of a failed task."""

    block: str = ""
    manager: str = ""
    """Place that ran the task, once it is final; empty for one that ran in the driver, or not at all."""

    host: str = ""
    started: float = 0.0
    ended: float = 0.0
    """Unix times of the last attempt, by the clock of its node."""


class WorkerEvent(Event, tag="worker"):
    """Something happened in a worker, as seen on its node."""

    executor: str
    block: str
    manager: str
    host: str
    worker: int
    """Rank of the worker in its manager."""

    state: str
    """``ready`` for tasks; ``running`` the task; ``exited``, with `reason`; ``staging_in`` or ``staging_out`` the file
    `url` of the task; ``staged``: its files are there. Before a worker has the task, `worker` is below 0."""

    task: int = -1
    attempt: int = -1
    """Attempt at `task` in its executor, as in the log of its interchange."""

    reason: str = ""
    url: str = ""
    """File that is moved, without passwords."""

    done: int = -1
    """Bytes of it that were moved, of `total`."""

    total: int = -1


class BlockEvent(Event, tag="block"):
    """A block has another state: pending, running, ended, failed or lost."""

    executor: str
    block: str
    state: str
    native: str = ""
    """Id in the provider's system."""

    reason: str = ""


class ManagerEvent(Event, tag="manager"):
    """A manager has connected (``up``) or is gone (``down``)."""

    executor: str
    block: str
    manager: str
    host: str
    state: str
    workers: int = 0
    reason: str = ""
    image: str = ""
    """Reference, as the user wrote it; empty outside of images."""

    digest: str = ""
    """``REPOSITORY@sha256:...`` by which a registry has the image; empty for one that was never in a registry."""

    image_id: str = ""
    python: str = ""
    """Version of the Python that runs tasks."""

    packages: str = ""
    """Digest of the names and versions of its packages."""


class InterchangeEvent(Event, tag="interchange"):
    """The interchange is ``up``, was ``restarted``, or is ``lost`` for good."""

    executor: str
    state: str
    reason: str = ""


class ResourceSample(Event, tag="sample"):
    """Resources that a task uses; reserved, no process sends it yet."""

    executor: str
    block: str
    manager: str
    worker: int
    task: int
    cpu_seconds: float = 0.0
    resident_bytes: int = 0


class DroppedEvents(Event, tag="dropped"):
    """Events that are missing before this one: there were more than a process on their way could hold."""

    count: int
    source: str
    """``driver``, ``interchange``, or the id of a manager."""


AnyEvent = Union[TaskEvent, WorkerEvent, BlockEvent, ManagerEvent, InterchangeEvent, ResourceSample, DroppedEvents]
"""Every event of this version; a sink ignores kinds that it does not know."""

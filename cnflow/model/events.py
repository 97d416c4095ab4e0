"""Events of a run, for `cnflow.interfaces.Sink`: what happened, to what, and when.

::

    the run ────> RunEvent                blocks ──> BlockEvent            managers ──> ManagerEvent, NodeSample
    task graph ──> SubmittedEvent, TaskEvent, FailureEvent, FileEvent     interchange ──> InterchangeEvent
          and for the many tasks of which there is little to say: SubmittedTasks, DoneTasks
    workers ────> WorkerEvent             managers ──> SampleBatch         anywhere ───> DroppedEvents
    served models ──> ModelEvent, ModelFigures: `cnflow.model.model_events`

Each is a struct whose field `kind` names it in MessagePack and JSON. A field that is not known is empty, or below 0.
Samples may be dropped on their way, and are counted then; no other event is.
"""

from __future__ import annotations

from typing import Union

from cnflow.model.event import Event as Event  # noqa: PLC0414 - sinks have it from here
from cnflow.model.model_events import ModelEvent as ModelEvent  # noqa: PLC0414 - as it
from cnflow.model.model_events import ModelFigures as ModelFigures  # noqa: PLC0414 - as it
from cnflow.model.provenance import Place


class RunEvent(Event, tag="run"):
    """The run has begun (``running``) or ended (``ended``); the first and the last event of its run."""

    run: str
    """Id, unique among all runs."""

    state: str
    name: str = ""
    version: str = ""
    host: str = ""
    user: str = ""
    folder: str = ""
    """Folder of the run, absolute."""

    script: str = ""
    python: str = ""
    cnflow: str = ""
    config: str = ""
    """JSON of the settings, without secrets."""

    pid: int = 0
    """Process of the driver."""

    tasks: int = -1
    done: int = -1
    failed: int = -1
    cancelled: int = -1
    """Counts of the driver, at the end: what a reader compares with the rows that it has."""


class SubmittedEvent(Event, tag="submitted"):
    """A task is there; its first event. What does not change of it is said here alone."""

    task: int
    app: str
    executor: str
    depends: tuple[int, ...] = ()
    """Tasks whose results it waits for."""

    arguments: str = ""
    """Summary of the call's arguments, of at most some hundred characters."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    """URLs of files, without passwords."""

    stdout: str = ""
    stderr: str = ""
    image: str = ""
    """Reference, as the user wrote it."""

    memoize: bool = False
    joins: bool = False
    """The task is a join app."""

    cores: float = -1.0
    memory: int = -1
    gpus: float = -1.0
    walltime: float = -1.0
    """What was asked for one try: cores, bytes, devices, seconds."""

    priority: float = 0.0


class SubmittedTasks(Event, tag="submitted_tasks"):
    """Tasks without dependencies and options are there, and were launched at once; their first events.

    `cnflow.model.event_batches.singles` makes a SubmittedEvent and a TaskEvent of each.
    """

    app: str
    executor: str
    rows: list[tuple[int, float, str]]
    """Task, time, and summary of the arguments."""

    image: str = ""


class DoneTasks(Event, tag="done_tasks"):
    """Tasks are done, and were not in the cache; their last events. `singles` makes a TaskEvent of each."""

    app: str
    executor: str
    rows: list[tuple[int, int, float, float, float, int]]
    """Task, attempt, time; begin and end by the clock of the node, 0 where they are not known; rank of the worker."""

    block: str = ""
    manager: str = ""
    host: str = ""


class FailureEvent(Event, tag="failure"):
    """A try has failed, whether it is made again or not; what a person needs to find out why."""

    task: int
    attempt: int
    error_type: str
    message: str
    is_retried: bool = False
    traceback: str = ""
    """At most 20,000 characters, the user's own first."""

    stderr_tail: str = ""
    host: str = ""
    block: str = ""
    manager: str = ""
    worker: int = -1
    image: str = ""
    digest: str = ""
    exit_code: int = -1
    signal: str = ""
    """Name of the signal that ended the worker or the command; ``OOM`` where the kernel ended it for memory."""

    started: float = 0.0
    ended: float = 0.0
    cost: float = 0.0
    """What the task's failed tries, this one included, took from its budget of retries."""


class FileEvent(Event, tag="file"):
    """A file of a task is ``moving``, was ``moved``, or ``failed``."""

    task: int
    attempt: int
    direction: str
    """``in`` or ``out``."""

    url: str
    """Without passwords."""

    state: str
    size: int = -1
    seconds: float = -1.0
    host: str = ""
    reason: str = ""


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
    worker: int = -1
    started: float = 0.0
    ended: float = 0.0
    """Unix times of the last attempt, by the clock of its node."""

    is_memoized: bool = False
    """The result was found in the cache."""

    key: str = ""
    """Cache key, in hexadecimal, where there is one."""


class WorkerEvent(Event, tag="worker"):
    """Something happened in a worker, as seen on its node."""

    executor: str
    block: str
    manager: str
    host: str
    worker: int
    """Rank of the worker in its manager."""

    state: str
    """``ready`` for tasks; ``exited``, with `reason`; ``staging_in`` or ``staging_out`` the file `url` of the task;
    ``staged``: its files are there; ``running``: it has run since `time`, of a task that was not over when its manager
    reported, once a second. All others have `TaskEvent.started`. Before a worker has the task, `worker` is below 0."""

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
    provider: str = ""
    """Kind of the provider."""

    usd: float = -1.0
    """Cost so far."""


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

    cores: float = -1.0
    memory: int = -1
    gpus: tuple[str, ...] = ()
    """Names of the devices."""


class InterchangeEvent(Event, tag="interchange"):
    """The interchange is ``up``, was ``restarted``, or is ``lost`` for good."""

    executor: str
    state: str
    reason: str = ""


class ResourceSample(Event, tag="sample"):
    """Resources that a try uses, with all processes that it started; counters are since its start."""

    executor: str
    block: str
    manager: str
    worker: int
    task: int
    attempt: int = 0
    host: str = ""
    pid: int = 0
    interval: float = 0.0
    """Seconds between samples."""

    is_final: bool = False
    """Measured by the worker at the end of the try (rusage), however short that was."""

    user_seconds: float = -1.0
    system_seconds: float = -1.0
    resident_bytes: int = -1
    peak_bytes: int = -1
    virtual_bytes: int = -1
    memory_percent: float = -1.0
    read_bytes: int = -1
    written_bytes: int = -1
    children: int = -1
    status: str = ""
    """State of the worker's process in the kernel's words, such as ``running`` or ``sleeping``."""

    core: int = -1
    voluntary_switches: int = -1
    involuntary_switches: int = -1
    gpu_bytes: int = -1
    gpu_percent: float = -1.0


class NodeSample(Event, tag="node_sample"):
    """Resources in use on a node, or in the container that is one, at one moment."""

    executor: str
    block: str
    manager: str
    host: str = ""
    cpu_percent: float = -1.0
    """Of all its cores."""

    memory_bytes: int = -1
    read_bytes: int = -1
    written_bytes: int = -1
    gpu_bytes: int = -1
    gpu_percent: float = -1.0
    busy_workers: int = -1


class SampleBatch(Event, tag="samples"):
    """Samples of a node's tasks, of one second; `cnflow.model.samples.unpack` makes a `ResourceSample` of each.

    Only sinks with an attribute `takes_batches` that is True are given batches; others are given the samples.
    """

    executor: str
    block: str
    manager: str
    host: str
    count: int
    packed: bytes


class DroppedEvents(Event, tag="dropped"):
    """Events that are missing before this one: there were more than a process on their way could hold."""

    count: int
    source: str
    """``driver``, ``interchange``, or the id of a manager."""


AnyEvent = Union[
    RunEvent,
    SubmittedEvent,
    SubmittedTasks,
    TaskEvent,
    DoneTasks,
    FailureEvent,
    FileEvent,
    WorkerEvent,
    BlockEvent,
    ManagerEvent,
    InterchangeEvent,
    ResourceSample,
    NodeSample,
    SampleBatch,
    ModelEvent,
    ModelFigures,
    DroppedEvents,
]
"""Every event of this version; a sink ignores kinds that it does not know."""


def samples_in(event: AnyEvent) -> int:
    """Return the number of samples that *event* is; 0 for an event of another kind, none of which may be dropped."""
    if isinstance(event, SampleBatch):
        return event.count
    return 1 if isinstance(event, (ResourceSample, NodeSample)) else 0


SubmittedRow = tuple[float, int, str, str, str, str]
"""Time, task, app, executor, image and arguments of a task that `SubmittedTasks` is to have."""

DoneRow = tuple[float, int, str, str, int, Union[Place, None], float, float, int]
"""Time, task, app, executor, attempt, place, end, run time in seconds and worker of a task for `DoneTasks`."""

TaskRow = Union[SubmittedRow, DoneRow]
"""Plain tuples, since they are made for each task: a struct takes five times as long."""

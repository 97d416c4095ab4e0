"""Answers of `cnflow.monitoring.queries`: values, for pages, JSON and commands alike. Times are Unix seconds."""

from __future__ import annotations

import msgspec


class RunView(msgspec.Struct, kw_only=True, frozen=True):
    """One run."""

    id: str
    name: str
    version: str
    state: str
    """``running``, ``ended`` or ``crashed``."""

    began: float
    ended: float | None
    """Of a run that crashed, the time of its last event."""

    host: str
    user: str
    run_dir: str
    script: str
    tasks: int
    done: int
    failed: int
    cancelled: int
    samples_dropped: int = 0


class TaskView(msgspec.Struct, kw_only=True, frozen=True):
    """One row of a list of tasks."""

    id: int
    app: str
    state: str
    executor: str
    image: str
    host: str
    submitted: float | None
    ended: float | None
    run_seconds: float | None
    tries: int
    error: str
    error_group: str = ""


class Page(msgspec.Struct, kw_only=True, frozen=True):
    """Part of a list of tasks, in the order of their ids."""

    tasks: list[TaskView]
    next: int | None
    """Value of `after` for the next part; None at the end."""

    previous: int | None
    """Value of `before` for the part before; None at the beginning."""


class TryView(msgspec.Struct, kw_only=True, frozen=True):
    """One try of a task."""

    number: int
    state: str
    executor: str
    block: str
    manager: str
    worker: int | None
    host: str
    image: str
    launched: float | None
    running: float | None
    ended: float | None
    error_type: str
    error: str
    traceback: str
    stderr_tail: str
    exit_code: int | None
    signal: str
    cpu_seconds: float | None
    peak_rss_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None
    gpu_peak_bytes: int | None


class StatusView(msgspec.Struct, kw_only=True, frozen=True):
    """State that a task came to."""

    number: int
    """Of the try."""

    state: str
    time: float


class SampleView(msgspec.Struct, kw_only=True, frozen=True):
    """Resources of a try, or of a node, at one moment."""

    time: float
    number: int
    """Of the try; 0 for a node."""

    cpu_seconds: float | None
    """Used since its start; of a node, percent of all its cores."""

    rss_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None
    gpu_bytes: int | None
    gpu_percent: float | None


class FileView(msgspec.Struct, kw_only=True, frozen=True):
    """A file that a task took or gave."""

    task: int
    number: int
    direction: str
    url: str
    state: str
    bytes: int | None
    seconds: float | None
    host: str
    error: str


class TaskDetail(msgspec.Struct, kw_only=True, frozen=True):
    """Everything about one task."""

    task: TaskView
    depends: list[int]
    needed_by: list[int]
    """Up to 1,000 tasks that depend on it."""

    arguments: str
    resources: dict[str, object]
    inputs: str
    outputs: str
    stdout: str
    stderr: str
    memoized: bool
    tries: list[TryView]
    statuses: list[StatusView]
    files: list[FileView]


class BlockView(msgspec.Struct, kw_only=True, frozen=True):
    """One block, as last reported."""

    executor: str
    block: str
    native: str
    provider: str
    state: str
    reason: str
    first: float
    last: float
    statuses: list[tuple[float, str, str]]
    """Time, state, and the provider's words."""

    usd: float | None
    tasks: int
    busy_seconds: float
    worker_seconds: float


class NodeView(msgspec.Struct, kw_only=True, frozen=True):
    """One manager on its node."""

    manager: str
    executor: str
    block: str
    host: str
    workers: int
    cores: float
    memory_bytes: int
    gpus: str
    image: str
    python: str
    is_up: bool
    began: float
    ended: float | None
    reason: str
    tasks: int
    busy_seconds: float


class ImageView(msgspec.Struct, kw_only=True, frozen=True):
    """One image, and where it was used."""

    image: str
    reference: str
    digest: str
    image_id: str
    python: str
    packages: str
    tasks: int
    nodes: int
    apps: list[str]


class ErrorGroup(msgspec.Struct, kw_only=True, frozen=True):
    """Tasks that failed for one cause."""

    id: str
    type: str
    app: str
    message: str
    count: int
    first_task: int
    first: float
    last: float


class AppView(msgspec.Struct, kw_only=True, frozen=True):
    """Tasks of one app in one run."""

    app: str
    states: dict[str, int]
    run_seconds: float
    """Sum over those that ended."""


class Step(msgspec.Struct, kw_only=True, frozen=True):
    """Counts of one interval of a run's progress."""

    time: float
    submitted: int
    launched: int
    done: int
    failed: int
    cancelled: int


class Bar(msgspec.Struct, kw_only=True, frozen=True):
    """Time that a worker spent on one try, or on many short ones that lie together."""

    manager: str
    host: str
    worker: int
    start: float
    end: float
    task: int
    app: str
    state: str
    count: int = 1


class GraphNode(msgspec.Struct, kw_only=True, frozen=True):
    """A task, or a group of tasks that stands for them."""

    id: str
    label: str
    app: str
    states: dict[str, int]
    task: int | None
    """The task, where the node is one alone."""


class Graph(msgspec.Struct, kw_only=True, frozen=True):
    """Tasks or groups of a run, and which need which."""

    nodes: list[GraphNode]
    edges: list[tuple[str, str, int]]
    """From, to, and the number of dependencies between them."""

    grouping: str
    """``none``, ``app`` or ``app and state``."""

    is_cut: bool
    """True where there are more than were asked for."""

    is_estimated: bool = False
    """True where the numbers of dependencies are estimated from some of the tasks."""


class Usage(msgspec.Struct, kw_only=True, frozen=True):
    """What tasks of one app asked for, and what they used."""

    app: str
    tasks: int
    asked_cores: float | None
    used_cores: float | None
    asked_memory_bytes: int | None
    peak_memory_bytes: int | None
    median_peak_bytes: int | None
    gpus: float | None
    gpu_percent: float | None
    advice: str


class ModelView(msgspec.Struct, kw_only=True, frozen=True):
    """One version of a served model; seconds are estimated from counts in buckets."""

    model: str
    version: str
    """Empty for requests for which none was chosen: they were refused before."""

    state: str
    reason: str
    image: str
    digest: str
    weight: float | None
    """Share of the calls that name no version, 0 to 1."""

    is_shadow: bool
    workers: int | None
    in_flight: int | None
    waiting: int | None
    """Calls of the model that wait in the server."""

    first: float
    last: float
    requests: int
    refused: int
    """Of them, those answered with a status of 400 to 499."""

    errors: int
    """Of them, those answered with a status of 500 or more."""

    rows: int
    batches: int
    copies: int
    copy_errors: int
    pieces: int
    attempts: int
    latency: tuple[float | None, float | None, float | None]
    """Of requests in the front: 50, 95 and 99 of 100 are at most that."""

    queue: tuple[float | None, float | None, float | None]
    compute: tuple[float | None, float | None, float | None]
    batch_sizes: list[tuple[float, int]]
    """Most rows of a batch in its bucket, and number of batches."""


class ModelStep(msgspec.Struct, kw_only=True, frozen=True):
    """Counts of one interval of a served model, all versions or one."""

    time: float
    requests: int
    refused: int
    errors: int
    rows: int
    batches: int
    in_flight: int | None
    """Highest of the interval, as the others below."""

    waiting: int | None
    latency_p50: float | None
    """Mean of the medians of some seconds each, by their requests."""

    latency_p99: float | None


class ModelChange(msgspec.Struct, kw_only=True, frozen=True):
    """Something that happened to a model."""

    time: float
    model: str
    version: str
    state: str
    """As `cnflow.model.model_events.ModelEvent.state`."""

    reason: str
    weights: dict[str, float]
    executor: str
    manager: str
    worker: int
    seconds: float | None

"""A task is one call of an app: its kind, state, options and outcome. No I/O."""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Tuple, Union

from cnflow.ids import FIRST_CALL

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from cnflow.ids import TaskId
    from cnflow.model.batching import BatchLimits, BatchPart
    from cnflow.model.item import Item
    from cnflow.model.provenance import Place
    from cnflow.model.resources import Resources

Stream = Union[str, "os.PathLike[str]", Tuple[str, str]]
"""File for stdout or stderr: a path, to which is appended, or ``(path, mode)``."""


class AppKind(enum.IntEnum):
    """Way in which an app's function is run."""

    PYTHON = 0
    """A worker calls it; its return value is the result."""

    BASH = 1
    """A worker calls it and runs the command line that it returns; the result is exit code 0."""

    JOIN = 2
    """The driver calls it; it returns futures, whose results are the result."""


class TaskState(enum.IntEnum):
    """Public state of a task."""

    WAITING = 0
    """At least one task that it depends on has not ended."""

    LAUNCHED = 1
    """Submitted to an executor."""

    DONE = 2
    FAILED = 3
    DEPENDENCY_FAILED = 4
    """Not run, since a task that it depends on failed."""

    CANCELLED = 5
    """Cancelled by the user: not run, or stopped."""

    STAGING_IN = 6
    """Its files are brought: it waits for nothing else, or its node brings them."""

    RUNNING = 7
    """Its function runs, after its files were brought; that of a task without such files is LAUNCHED all the time."""

    STAGING_OUT = 8
    """Its function is done, and its files are taken to where they belong."""


class StagingNote(NamedTuple):
    """Step of one task's staging, as seen where it happens."""

    task: TaskId
    state: TaskState
    url: str = ""
    """File that is moved; empty where it is not one alone."""

    done: int = -1
    """Bytes that were moved; below 0 where that is not known, as `total`."""

    total: int = -1
    host: str = ""
    """Name of the node; empty in the driver."""


class AppFunction:
    """A decorated function, shared by all tasks of an app.

    Attributes:
        function: the one to run: the user's, or a wrapper that stages its files.
        original: the user's.
        name: for messages and logs.
        kind: the way in which the function is run.
        version: the function as executors that pickle have sent it last; theirs.
        batching: limits of its batches; None for a function whose tasks run one by one.
    """

    __slots__ = ("__weakref__", "batching", "function", "kind", "name", "original", "version")

    def __init__(
        self,
        function: Callable[..., Any],
        kind: AppKind = AppKind.PYTHON,
        name: str = "",
        original: Optional[Callable[..., Any]] = None,
    ) -> None:
        self.function = function
        self.original = function if original is None else original
        self.kind = kind
        self.version: Any = None
        self.batching: Optional[BatchLimits] = None
        self.name = name or _name_of(function)


def _name_of(function: Callable[..., Any]) -> str:
    try:
        return str(getattr(function, "__name__", type(function).__name__))
    except Exception:  # noqa: BLE001 - a user's __getattr__ may fail in any way
        return type(function).__name__


NEVER = -1
"""Value of `RunOptions.keep_from`: the result does not stay, whatever the executor has it."""


class RunOptions(NamedTuple):
    """Options of one task, besides its function and its arguments."""

    walltime: Optional[float] = None
    """Seconds, above 0, from the task's start until it is stopped; None for no limit."""

    stdout: Optional[Stream] = None
    """Absolute, or relative to the worker's folder, even with a sandbox; None for the worker's own stdout."""

    stderr: Optional[Stream] = None
    env: Mapping[str, str] = MappingProxyType({})
    """Variables to add to the environment."""

    sandbox: bool = False
    """Run in a new folder, which is removed afterwards."""

    inputs: Sequence[str] = ()
    """Paths to link into the sandbox by their last part."""

    outputs: Sequence[str] = ()
    """Paths that must exist afterwards. Relative ones, in the sandbox of a successful task, are moved out of it."""

    pipefail: bool = False
    """Let a bash app fail when any command of a pipeline fails, not only the last."""

    folder: str = ""
    """Folder that relative `inputs` and `outputs` of a sandbox mean, outside of it; empty for the worker's own."""

    leaves: Optional[Sequence[tuple[str, ...]]] = None
    """Outputs and streams that stay on the node as items (`cnflow.tasks.staging.items.Leave`); None where the task has
    no files with items at all."""

    resources: Optional[Resources] = None
    """Needs on the node, for the scheduler; workers ignore them."""

    keep_from: Optional[int] = None
    """Bytes from which the result stays on the node that made it; None is what the executor has it."""

    patterns: Sequence[str] = ()
    """Patterns that a file must match afterwards. Matches of relative ones, in the sandbox of a successful task, are
    moved out of it."""


NO_OPTIONS = RunOptions()
"""Options of most tasks; compared by identity, which is faster than by value."""


class ArgumentUse(enum.Enum):
    """What an executor does with the arguments of a `TaskToRun`; its attribute ``argument_use``."""

    COPIED = enum.auto()
    """It uses the objects after `submit` has returned: they are copies, which the user has no hold of. An executor that
    calls the function in the driver gives it `cnflow.tasks.arguments.copy_of` them where the task has `kept`."""

    PACKED = enum.auto()
    """It pickles them before `submit` returns, and keeps the pickle in `TaskToRun.kept` for later attempts."""

    SHARED = enum.auto()
    """The user wants the function to have the caller's own objects."""


NO_MODULES: frozenset[str] = frozenset()


class Kept:
    """Place where an executor keeps the packed arguments of a task.

    Attributes:
        payload: set by the executor with the first attempt, and used by it in later ones.
        items: contents to which the payload refers.
        memory: what the payload maps; None where it holds all itself.
        modules: names of the user's own modules to which the payload refers.
        source: objects that it was made of.
    """

    __slots__ = ("items", "memory", "modules", "payload", "source")

    def __init__(self) -> None:
        self.payload: Any = None
        self.items: tuple[Item, ...] = ()
        self.memory: object = None
        self.modules: frozenset[str] = NO_MODULES
        self.source: tuple[object, ...] = ()


class TaskToRun(NamedTuple):
    """A task with resolved dependencies, for an executor."""

    id: TaskId
    app: AppFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: RunOptions = NO_OPTIONS
    kept: Optional[Kept] = None
    """None where the arguments cannot change, or are used once."""

    version: Any = None
    """Function of the app as it was at the call: what the executor's ``version_of`` returned then."""

    places: Mapping[str, str] = MappingProxyType({})
    """Paths on the driver's machine for items that the task leaves, by their names; the task ends when they are there.
    Other items stay on the node, and are in `Outcome.items`."""

    batch: Optional[BatchPart] = None
    """Part in a batch; None for a task that runs alone."""

    @property
    def title(self) -> str:
        """Title in messages: ``Task 7 (predict)``."""
        return title_of(self.id, self.app.name)


class Outcome(NamedTuple):
    """Outcome of one try of a task; `error` is None on success."""

    id: TaskId
    value: Any
    error: Optional[BaseException] = None
    words: str = ""
    """Class and text of a user's error, made where the task ran: its ``__str__`` is the user's code."""

    place: Optional[Place] = None
    """Place that ran it; None where that is not known."""

    ended: float = 0.0
    """Unix time of the end, by the clock of the place; 0 where it is not known."""

    seconds: float = 0.0
    """Run time of the function."""

    items: tuple[Item, ...] = ()
    """Contents that the task has left on its node, and that stay there until they are released."""

    worker: int = -1
    """Rank of the worker in its manager; below 0 where none is known."""


def title_of(task: int, name: str) -> str:
    """Title of a task in messages: ``Task 7 (predict)``; ids of calls beside the graph mean nothing to the user."""
    return f"Task {task} ({name})" if task < FIRST_CALL else f"A call of {name}"

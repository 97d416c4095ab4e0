"""A task: one call of an app."""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from cnflow.ids import TaskId
    from cnflow.model.resources import Resources

Stream = Union[str, "os.PathLike[str]", tuple[str, str]]
"""Where stdout or stderr goes: a path, which is appended to, or ``(path, mode)``."""


class AppKind(enum.IntEnum):
    """What a worker does with an app's function."""

    PYTHON = 0
    """Call it; what it returns is the result."""

    BASH = 1
    """Call it; what it returns is a command line to run; the result is exit code 0."""

    JOIN = 2
    """Call it in the driver; what it returns are futures, whose results are the result."""


class TaskState(enum.IntEnum):
    """Where a task is in its life."""

    WAITING = 0
    """At least one task that it depends on is not done."""

    LAUNCHED = 1
    """Handed to an executor."""

    DONE = 2
    FAILED = 3
    DEPENDENCY_FAILED = 4
    """Never run, since a task that it depends on failed."""

    CANCELLED = 5
    """The user wanted it no more; never run, or stopped."""


class AppFunction:
    """A decorated function: what the driver knows of an app, shared by all its tasks.

    Attributes:
        function: what is run: as the user wrote it, or wrapped by those who stage its files.
        original: as the user wrote it.
        name: for people and logs.
        kind: what a worker does with it.
    """

    __slots__ = ("__weakref__", "function", "kind", "name", "original")

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
        self.name = name or str(getattr(function, "__name__", type(function).__name__))


class RunOptions(NamedTuple):
    """How a task is to be run, beyond its function and its arguments."""

    walltime: Optional[float] = None
    """Seconds, above 0, from the start of its execution until it is stopped; None lets it run."""

    stdout: Optional[Stream] = None
    """Relative paths start where the worker was started, also in a sandbox; None is the worker's own."""

    stderr: Optional[Stream] = None
    env: Mapping[str, str] = MappingProxyType({})
    """Added to the environment."""

    sandbox: bool = False
    """Run it in a fresh folder, which is removed afterwards."""

    inputs: Sequence[str] = ()
    """Paths that are linked into the sandbox by their last part."""

    outputs: Sequence[str] = ()
    """Relative paths that a successful task's sandbox is searched for; what is there is moved out to them."""

    resources: Optional[Resources] = None
    """What it needs of its node; not for the worker, which is on one that has it."""


NO_OPTIONS = RunOptions()
"""The one that most tasks share; compared by identity where every microsecond counts."""


class TaskToRun(NamedTuple):
    """A task whose dependencies are resolved, on its way to an executor."""

    id: TaskId
    app: AppFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: RunOptions = NO_OPTIONS

    @property
    def title(self) -> str:
        """As in every message: ``Task 7 (predict)``."""
        return title_of(self.id, self.app.name)


class Outcome(NamedTuple):
    """How one try of a task ended; `error` is None on success."""

    id: TaskId
    value: Any
    error: Optional[BaseException] = None


def title_of(task: int, name: str) -> str:
    """How a task is called wherever a person reads of it."""
    return f"Task {task} ({name})"

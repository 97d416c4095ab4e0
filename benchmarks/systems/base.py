"""The interface that every benchmark is written against."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = 2

Submit = Callable[..., Any]
"""A callable that takes arguments, submits one task and returns its handle at once."""


class System(abc.ABC):
    """A way to run functions in two workers. Made, started, used and stopped once, in a process of its own."""

    links = True
    """Handles may be passed as arguments: the system resolves them."""

    copies = True
    """Arguments and results travel; threads hand over references."""

    shares_files = True
    """Its workers see the driver's files."""

    def missing(self) -> str:
        """Why it cannot run on this machine; empty when it can."""
        return ""

    @abc.abstractmethod
    def start(self) -> None:
        """Return as soon as tasks can be submitted; workers may still be starting."""

    @abc.abstractmethod
    def app(self, function: Callable[..., Any]) -> Submit:
        """What the system wants done once with a function, so that calling the result submits a task."""

    def bash(self, command: str) -> Submit | None:
        """The same for a shell command; None where the system has no such thing."""
        del command
        return None

    def bash_itself(self) -> Submit | None:
        """For the floor, whose `bash` is run by ``/bin/sh``: the same by bash."""
        return None

    def results(self, handles: Sequence[Any]) -> list[Any]:
        """Of all that was submitted since the last call, in order; waits for them."""
        return [handle.result() for handle in handles]

    @abc.abstractmethod
    def stop(self) -> None:
        """Return when nothing of it is left."""

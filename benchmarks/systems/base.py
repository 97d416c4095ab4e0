"""Interface of the systems that are measured."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = 2

Submit = Callable[..., Any]
"""Callable that submits one task with its arguments and returns the handle at once."""


class System(abc.ABC):
    """System that runs functions in two workers. Created, started and stopped once, in a process of its own."""

    links = True
    """True if handles may be passed as arguments, which the system replaces by results."""

    copies = True
    """True if arguments and results are copied; threads pass references."""

    shares_files = True
    """True if workers see the driver's files."""

    def missing(self) -> str:
        """Return the reason why the system cannot run on this machine; empty if it can."""
        return ""

    @abc.abstractmethod
    def start(self) -> None:
        """Return as soon as tasks can be submitted; workers may still be starting."""

    @abc.abstractmethod
    def app(self, function: Callable[..., Any]) -> Submit:
        """Prepare a function; calling the returned object submits a task."""

    def bash(self, command: str) -> Submit | None:
        """Prepare a shell command; return None if the system runs none."""
        del command
        return None

    def fresh(self, function: Callable[..., Any]) -> Submit | None:
        """Prepare a function that gets a container of its own for each task; return None if the system has none."""
        del function
        return None

    def bash_itself(self) -> Submit | None:
        """Prepare bash itself as the command, for the floor, whose `bash` is run by ``/bin/sh``."""
        return None

    def results(self, handles: Sequence[Any]) -> list[Any]:
        """Wait for all tasks submitted since the last call; return the results of *handles* in order."""
        return [handle.result() for handle in handles]

    @abc.abstractmethod
    def stop(self) -> None:
        """Stop the system; return when no process of it is left."""

"""Errors of a task that come from another task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors.configuration import CnflowError
from cnflow.text import describe_error, elide_middle, in_a_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence


class PropagatedError(CnflowError):
    """A task failed because another one did; look at the root cause.

    Attributes:
        failed_by: the exception of the next task in the chain. ``__cause__`` is the root cause instead, so that a long
            chain is printed once.
        others: further failures, each with the title of its task.
    """

    def __init__(
        self, task: str, failed: str, cause: BaseException, others: Sequence[tuple[BaseException, str]] = ()
    ) -> None:
        self.task = task
        self.failed = failed
        self.failed_by = cause
        self.others = tuple(others)
        super().__init__(task, failed, cause, self.others)
        self.__cause__ = self.root_cause

    @property
    def dependent_exceptions_tids(self) -> list[tuple[BaseException, str]]:
        """Exceptions of the next tasks in the chain, each with the title of its task; a public name of Parsl."""
        return [(error, in_a_sentence(name)) for error, name in [(self.failed_by, self.failed), *self.others]]

    @property
    def dependent_exceptions(self) -> list[BaseException]:
        """Exceptions of the next tasks in the chain; a public name of Parsl."""
        return [self.failed_by, *(error for error, _ in self.others)]

    @property
    def reason(self) -> str:
        """The message; a public name of Parsl."""
        return str(self)

    @property
    def root_cause(self) -> BaseException:
        """First exception of the chain; never a PropagatedError."""
        cause: BaseException = self
        while isinstance(cause, PropagatedError):
            cause = cause.failed_by
        return cause

    def chain(self) -> list[str]:
        """Titles of the tasks from that of the root cause to this one."""
        tasks = [self.task]
        error: BaseException = self
        while isinstance(error, PropagatedError):
            tasks.append(error.failed)
            error = error.failed_by
        return tasks[::-1]

    def __str__(self) -> str:
        reason = describe_error(self.root_cause)
        tasks = " -> ".join(map(in_a_sentence, elide_middle(self.chain())))
        more = f"\n  Failed too: {', '.join(in_a_sentence(name) for _, name in self.others)}" if self.others else ""
        return f"Root cause: {reason}\n  {tasks}{more}"


class DependencyError(PropagatedError):
    """A task was not run because a task that it depends on failed or was cancelled; look at the root cause."""

    def __str__(self) -> str:
        return f"{self.task} was not run. {super().__str__()}"


class JoinError(PropagatedError):
    """A join app failed because a task that it returned failed; look at the root cause."""

    def __str__(self) -> str:
        return f"{self.task} failed with a task that it returned. {super().__str__()}"

"""One task failed because of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors.configuration import CnflowError
from cnflow.text import describe_error, in_a_sentence, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence


class PropagatedError(CnflowError):
    """A task failed because another did.

    ``__cause__`` is the exception that began it all, so that a long chain prints once; `failed_by` is the next one.
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
        """Each failure that is known to have led here, with the name of its task; the reference's name for it."""
        return [(error, in_a_sentence(name)) for error, name in [(self.failed_by, self.failed), *self.others]]

    @property
    def root_cause(self) -> BaseException:
        """The exception that began it all; never a PropagatedError."""
        cause: BaseException = self
        while isinstance(cause, PropagatedError):
            cause = cause.failed_by
        return cause

    def chain(self) -> list[str]:
        """Tasks from the root cause's to this one."""
        tasks = [self.task]
        error: BaseException = self
        while isinstance(error, PropagatedError):
            tasks.append(error.failed)
            error = error.failed_by
        return tasks[::-1]

    def __str__(self) -> str:
        reason = describe_error(self.root_cause)
        tasks = " -> ".join(map(in_a_sentence, shortened(self.chain())))
        more = f"\n  Failed too: {', '.join(in_a_sentence(name) for _, name in self.others)}" if self.others else ""
        return f"Root cause: {reason}\n  {tasks}{more}"


class DependencyError(PropagatedError):
    """A task was not run because one that it depends on failed or was cancelled."""

    def __str__(self) -> str:
        return f"{self.task} was not run. {super().__str__()}"


class JoinError(PropagatedError):
    """A join app failed because a task that it returned did."""

    def __str__(self) -> str:
        return f"{self.task} failed with what it returned. {super().__str__()}"

"""What goes wrong under the tasks: workers, nodes, blocks, images."""

from __future__ import annotations

import functools
from typing import Any

from cnflow.errors.configuration import CnflowError
from cnflow.text import signal_name, under


class InfrastructureError(CnflowError):
    """Something under the task failed, not the task."""


class WorkerLost(InfrastructureError):  # noqa: N818 - the reference's public name
    """The worker process ended under the task; *exitcode* is as `subprocess.Popen.returncode`: negative is a signal."""

    def __init__(self, task: str, where: str, exitcode: int, stderr_tail: str = "", cause: str = "") -> None:
        self.task = task
        self.where = where
        self.exitcode = exitcode
        self.stderr_tail = stderr_tail
        self.cause = cause
        super().__init__(task, where, exitcode, stderr_tail, cause)

    def __str__(self) -> str:
        how = (
            f"exited with code {self.exitcode}"
            if self.exitcode >= 0
            else f"was killed by {signal_name(-self.exitcode)}"
        )
        said = under("The last lines of its stderr:", self.stderr_tail)
        why = f", {self.cause}" if self.cause else ""
        return f"{self.task} ended its worker, which {how}{why} ({self.where}).{said}"


class ManagerLost(InfrastructureError):  # noqa: N818 - the reference's public name
    """The manager that held the task went silent or was stopped."""


class TaskCutOff(InfrastructureError):  # noqa: N818 - as its neighbours
    """Its block was about to end, by its walltime or since it was told to; *ran* is whether the task had begun."""

    def __init__(self, task: str, where: str, *, ran: bool = True) -> None:
        self.task = task
        self.where = where
        self.ran = ran
        super().__init__(task, where)

    def __str__(self) -> str:
        how = "was cut off" if self.ran else "was handed back before it was begun"
        return f"{self.task} {how}: the manager had to end ({self.where})."

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(TaskCutOff, ran=self.ran), (self.task, self.where)


class InterchangeLostError(InfrastructureError):
    """The interchange process died; what it held is not known."""


class ExecutorClosedError(InfrastructureError):
    """The run was ended before the task was."""


class StagingError(CnflowError):
    """A file could not be brought to its task or taken away from it; names the file and what its server said."""


class PythonMismatchError(CnflowError):
    """Code pickled on one minor version of Python would have to run on another; it was not tried."""


class BlockError(CnflowError):
    """A provider could not start a block or keep it running; quotes the provider's own words."""


class ProviderBusyError(BlockError):
    """Transient: the provider has no room or does not answer now; nothing was started."""


class BlockRejectedError(BlockError):
    """Permanent: the provider refuses this block as it is asked for; nothing was started."""


class ImageNotFoundError(BlockRejectedError):
    """The image is neither here nor to be pulled."""


class ImageUnusableError(BlockRejectedError):
    """The image has no Python, or one that no capsule can be made for; says what was found."""


class CapsuleError(CnflowError):
    """The manager's packages for this kind of image could not be gathered."""

"""Errors of the infrastructure below the tasks: workers, nodes, blocks, images."""

from __future__ import annotations

import functools
from typing import Any

from cnflow.errors.configuration import CnflowError
from cnflow.text import indent_under, mask_url, signal_name


class InfrastructureError(CnflowError):
    """The infrastructure below the task failed, not the task; it may be run again, unchanged."""


class WorkerLost(InfrastructureError):  # noqa: N818 - a public name of Parsl
    """The worker process ended while it ran the task; read its last lines in the message.

    Attributes:
        exitcode: as `subprocess.Popen.returncode`; negative is a signal.
        cause: explanation from outside the process, such as lack of memory; empty if there is none.
    """

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
        output = indent_under("The last lines of its stderr:", self.stderr_tail)
        why = f", {self.cause}" if self.cause else ""
        return f"{self.task} ended its worker, which {how}{why} ({self.where}).{output}"


class ManagerLost(InfrastructureError):  # noqa: N818 - a public name of Parsl
    """The manager that held the task stopped responding or was stopped; look at its node and its block's log."""


class TaskCutOff(InfrastructureError):  # noqa: N818 - as its neighbours
    """The task's block was about to end, by its walltime or by a signal; use longer blocks, or shorter tasks.

    Attributes:
        ran: True if the task had started.
    """

    def __init__(self, task: str, where: str, *, ran: bool = True) -> None:
        self.task = task
        self.where = where
        self.ran = ran
        super().__init__(task, where)

    def __str__(self) -> str:
        how = "was cut off" if self.ran else "was returned before it started"
        return f"{self.task} {how}: the manager had to end ({self.where})."

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(TaskCutOff, ran=self.ran), (self.task, self.where)


class InterchangeLostError(InfrastructureError):
    """The interchange process died and the state of its tasks is unknown; read ``interchange.log``."""


class ExecutorClosedError(InfrastructureError):
    """The run ended before the task did; wait for the tasks before the end of the run."""


class StagingError(CnflowError):
    """A file could not be staged in or out; look at the URL, server or archive that the message names.

    Attributes:
        url: of the file, with its passwords masked; empty where it is not known.
        file: path of the copy; empty where there is none.
        step: ``stage in`` or ``stage out``.
        tries: number of tries that have failed; 0 where it is not known.
        is_final: another try would fail in the same way.
    """

    def __init__(
        self, *args: object, url: str = "", file: str = "", step: str = "", tries: int = 0, is_final: bool = False
    ) -> None:
        super().__init__(*args)
        self.url = mask_url(url)
        self.file = file
        self.step = step
        self.tries = tries
        self.is_final = is_final


class ItemLostError(StagingError):
    """Nobody has a content any more that stayed on a node; the message says what made it, and where it was.

    Attributes:
        key: of the content (`cnflow.model.item`).
    """

    key: bytes = b""


class PythonMismatchError(CnflowError):
    """Code cannot cross from one minor version of Python to another one.

    It has no source that is certain, or the other Python does not understand it. The message names the function or the
    value, and what to do; or use an image with the driver's Python.
    """


class BlockError(CnflowError):
    """A provider could not start a block or keep it running; read the provider's own message, which is quoted."""


class ChannelError(BlockError):
    """A machine cannot be reached through its channel, or a file on it not be read or written; nothing else is known.

    Correct the channel's options, or try the command that the message quotes by hand.
    """


class BudgetError(BlockError):
    """The budget of the run is spent; raise it in ``Config(budget=...)``, and go on with the checkpoint."""


class ProviderBusyError(BlockError):
    """The provider has no capacity, or does not answer; temporary, nothing was started. Try again later."""


class NoCapacityError(ProviderBusyError):
    """The cloud has no machine of this type left where it was asked for; another type or zone may have one."""


class QuotaError(ProviderBusyError):
    """A limit of the account is reached; end other machines, ask for a higher limit, or lower ``max_blocks``."""


class BlockRejectedError(BlockError):
    """The provider refuses the block; permanent, nothing was started. Correct the provider's options."""


class ImageNotFoundError(BlockRejectedError):
    """The image does not exist here and cannot be pulled; build it, pull it or correct its name."""


class ImagePullError(ImageNotFoundError):
    """The registry refused the image, failed, or was not reached; read the engine's words and the advice below."""


class ImageLockError(BlockRejectedError):
    """The lock file has another image or none of this name, and the run is locked; run ``cnflow lock``."""


class ImageUnusableError(BlockRejectedError):
    """The image has no Python, or one that is not supported; use an image with a supported Python."""


class ImageBuildError(BlockRejectedError):
    """An image could not be built; correct the step, file or setting that the message names."""


class CapsuleError(CnflowError):
    """The packages of a capsule could not be collected or stored; follow the advice in the message."""

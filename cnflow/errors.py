"""Everything that cnflow raises, one class per reaction of the reader.

CnflowError
├── ConfigurationError            mend the configuration or the call
│   ├── NoDataFlowKernelError     call cnflow.load() first
│   ├── AlreadyLoadedError        end the run that is loaded first
│   ├── UnknownNameError          mend the name; the nearest known one is offered
│   ├── MissingExtraError         install the extra that the message names
│   ├── MemoKeyError              tell how the named argument is to be compared
│   └── BadCheckpoint             name another file, or leave it out
├── PropagatedError               look at the root cause, it is another task
│   ├── DependencyError           a task that this one waits for failed
│   └── JoinError                 a task that this join app returned failed
├── SerializationError            change what is passed or returned
├── AppFailedError                look at the app's own code
│   ├── AppTimeout                it ran longer than its walltime
│   ├── BadStdStreamFile          a file for its output cannot be opened
│   ├── MissingOutputs            it ran, but did not make every file that it promised
│   ├── JoinAppNoFuture           the join app returned something else than futures
│   ├── BashExitFailure           the shell command exited non-zero
│   ├── BashAppNoReturn           the bash app returned no command line
│   └── RemoteError               an exception whose class exists only in the image
├── InfrastructureError           the task may be run again as it is
│   ├── WorkerLost                the worker process died under the task
│   ├── ManagerLost               the node or its manager went silent
│   ├── InterchangeLostError      the interchange process died
│   └── ExecutorClosedError       the run ended before the task did
├── PythonMismatchError           use an image with the driver's Python, or the reverse
├── BlockError                    look at the provider: it could not start or keep a block
│   ├── ProviderBusyError         transient; nothing was started
│   └── BlockRejectedError        permanent; nothing was started
│       ├── ImageNotFoundError    build, pull or correct the image
│       └── ImageUnusableError    the image lacks what a worker needs
└── CapsuleError                  the capsule for this kind of image could not be made
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.words import nearest, shortened, signal_name, under

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class CnflowError(Exception):
    """Every error of cnflow's own; a user's exception is passed on as it is."""


class ConfigurationError(CnflowError):
    """The configuration or a call contradicts what cnflow knows; nothing was started."""


class NoDataFlowKernelError(ConfigurationError):
    """An app was called, or the DFK asked for, while nothing is loaded."""


class AlreadyLoadedError(ConfigurationError):
    """`load` was called while a run is loaded."""


class UnknownNameError(ConfigurationError):
    """A name that is not known; says which ones are, and which is nearest."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what = what
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(what, name, self.known)

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return f"No {self.what} is called {self.name!r}.{nearest(self.name, self.known)} Known: {known}."


class MissingExtraError(ConfigurationError):
    """A backend's packages are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(what, extra)

    def __str__(self) -> str:
        return f"{self.what} needs packages that are not installed. Run: pip install 'cnflow[{self.extra}]'"


class MemoKeyError(ConfigurationError, ValueError):
    """An argument of an app with ``cache=True`` is of a type that cannot be compared; points to `id_for_memo`.

    Also a ValueError, which is what the reference raises here.
    """


class BadCheckpoint(ConfigurationError):  # noqa: N818 - the reference's public name
    """A file given as a checkpoint is none, or is damaged; the message names it and says what was found."""

    def __init__(self, path: str, found: str) -> None:
        self.path = path
        self.found = found
        super().__init__(path, found)

    def __str__(self) -> str:
        advice = "Take it out of checkpoint_files, or restore it from a copy."
        return f"{self.path} cannot be used as a checkpoint: {self.found}. {advice}"


class PropagatedError(CnflowError):
    """A task failed because another did.

    ``__cause__`` is the exception that began it all, so that a long chain prints once; `failed_by` is the next one.
    """

    def __init__(self, task: str, failed: str, cause: BaseException) -> None:
        self.task = task
        self.failed = failed
        self.failed_by = cause
        super().__init__(task, failed, cause)
        self.__cause__ = self.root_cause

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
        root = self.root_cause
        said = str(root)
        reason = f"{type(root).__name__}: {said}" if said else type(root).__name__
        return f"Root cause: {reason}\n  {' -> '.join(shortened(self.chain()))}"


class DependencyError(PropagatedError):
    """A task was not run because one that it depends on failed or was cancelled."""

    def __str__(self) -> str:
        return f"{self.task} was not run. {super().__str__()}"


class JoinError(PropagatedError):
    """A join app failed because a task that it returned did."""

    def __str__(self) -> str:
        return f"{self.task} failed with what it returned. {super().__str__()}"


class SerializationError(CnflowError):
    """An argument, a function or a result cannot be pickled or unpickled; the message names it."""


class AppFailedError(CnflowError):
    """The app ran and failed by its own doing."""


class AppTimeout(AppFailedError):  # noqa: N818 - the reference's public name
    """The app ran longer than its walltime, and was stopped."""

    def __init__(self, app_name: str, walltime: float) -> None:
        self.app_name = app_name
        self.walltime = walltime
        super().__init__(app_name, walltime)

    def __str__(self) -> str:
        return f"{self.app_name} ran longer than its walltime of {self.walltime:g} s and was stopped."


class BadStdStreamFile(AppFailedError):  # noqa: N818 - the reference's public name
    """A file for the app's stdout or stderr cannot be opened; the message names stream and path."""


class MissingOutputs(AppFailedError):  # noqa: N818 - the reference's public name
    """The app ran, but files that it promised as outputs are not there."""

    def __init__(self, app_name: str, outputs: Sequence[object]) -> None:
        self.app_name = app_name
        self.outputs = list(outputs)
        super().__init__(app_name, self.outputs)

    def __str__(self) -> str:
        names = ", ".join(str(output) for output in self.outputs)
        return f"{self.app_name} ran, but did not make {names}. Its outputs= name files that it must write."


class JoinAppNoFuture(AppFailedError):  # noqa: N818 - as its neighbours
    """A join app returned something that holds no future."""


class BashExitFailure(AppFailedError):  # noqa: N818 - the reference's public name
    """A bash app's command exited with another code than 0."""

    def __init__(self, app_name: str, exitcode: int, command: str = "", stderr_tail: str = "") -> None:
        self.app_name = app_name
        self.exitcode = exitcode
        self.command = command
        self.stderr_tail = stderr_tail
        super().__init__(app_name, exitcode, command, stderr_tail)

    def __str__(self) -> str:
        what = f"exited with code {self.exitcode}" if self.exitcode >= 0 else f"was killed by signal {-self.exitcode}"
        said = under("The last lines of its stderr:", self.stderr_tail)
        return f"bash_app {self.app_name} {what}. Its command was:\n    {self.command}{said}"


AppFailure = BashExitFailure
"""Its name in older versions of the reference."""


class BashAppNoReturn(AppFailedError):  # noqa: N818 - the reference's public name
    """A bash app's function returned something else than a command line."""


class RemoteError(AppFailedError):
    """The app raised an exception whose class cannot be loaded here; carries its name, message and traceback."""

    def __init__(self, type_name: str, message: str, traceback_text: str) -> None:
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text
        super().__init__(type_name, message, traceback_text)

    def __str__(self) -> str:
        return f"{self.traceback_text}\n{self.type_name} cannot be loaded in the driver; this stands for it."


class InfrastructureError(CnflowError):
    """Something under the task failed, not the task."""


class WorkerLost(InfrastructureError):  # noqa: N818 - the reference's public name
    """The worker process ended under the task; *exitcode* is as `subprocess.Popen.returncode`: negative is a signal."""

    def __init__(self, task: str, where: str, exitcode: int, stderr_tail: str = "") -> None:
        self.task = task
        self.where = where
        self.exitcode = exitcode
        self.stderr_tail = stderr_tail
        super().__init__(task, where, exitcode, stderr_tail)

    def __str__(self) -> str:
        how = (
            f"exited with code {self.exitcode}"
            if self.exitcode >= 0
            else f"was killed by {signal_name(-self.exitcode)}"
        )
        said = under("The last lines of its stderr:", self.stderr_tail)
        return f"{self.task} ended its worker, which {how} ({self.where}).{said}"


class ManagerLost(InfrastructureError):  # noqa: N818 - the reference's public name
    """The manager that held the task went silent or was stopped."""


class InterchangeLostError(InfrastructureError):
    """The interchange process died; what it held is not known."""


class ExecutorClosedError(InfrastructureError):
    """The run was ended before the task was."""


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

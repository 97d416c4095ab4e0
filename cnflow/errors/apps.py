"""What goes wrong in the user's own code, or with what he passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors.configuration import CnflowError
from cnflow.text import under

if TYPE_CHECKING:
    from collections.abc import Sequence


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


class JoinAppNoFuture(AppFailedError, TypeError):  # noqa: N818 - as its neighbours
    """A join app returned something that holds no future; also a TypeError, which is what the reference raises."""


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

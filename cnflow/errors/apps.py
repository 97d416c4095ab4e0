"""Errors of the user's own code, and of the values that it passes and returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.errors.configuration import CnflowError
from cnflow.text import indent_under, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_SHOWN = 10
"""Wrong parts that a message lists."""


class SerializationError(CnflowError):
    """An argument, a function or a result cannot be pickled or unpickled; the message names it.

    Pass or return another type, or make this one picklable.
    """


class AppFailedError(CnflowError):
    """The app ran and failed because of its own code; correct that code, or its input."""


class AppTimeout(AppFailedError):  # noqa: N818 - a public name of Parsl
    """The app ran longer than its walltime and was stopped; raise the walltime, or give the app less to do."""

    def __init__(self, app_name: str, walltime: float) -> None:
        self.app_name = app_name
        self.walltime = walltime
        super().__init__(app_name, walltime)

    def __str__(self) -> str:
        return f"{self.app_name} ran longer than its walltime of {self.walltime:g} s and was stopped."


class BadStdStreamFile(AppFailedError):  # noqa: N818 - a public name of Parsl
    """A file for the app's stdout or stderr cannot be opened; correct the path that the message names."""


class MissingOutputs(AppFailedError):  # noqa: N818 - a public name of Parsl
    """The app ran, but did not create all files in its ``outputs``; correct the app, or its ``outputs``."""

    def __init__(self, app_name: str, outputs: Sequence[object]) -> None:
        self.app_name = app_name
        self.outputs = list(outputs)
        super().__init__(app_name, self.outputs)

    @property
    def reason(self) -> str:
        """The message; a public name of Parsl."""
        return str(self)

    def __str__(self) -> str:
        names = ", ".join(str(output) for output in self.outputs)
        return f"{self.app_name} ran, but did not create {names}. An app must write every file that its outputs= name."


class JoinAppNoFuture(AppFailedError, TypeError):  # noqa: N818 - as its neighbours
    """A join app returned a value without futures; return the future of a task, or a list or dict of futures.

    Also a TypeError, which Parsl raises.
    """


class BashExitFailure(AppFailedError):  # noqa: N818 - a public name of Parsl
    """A bash app's command exited with a code other than 0; read the last lines of its stderr in the message.

    Attributes:
        exitcode: as `subprocess.Popen.returncode`; negative is a signal.
        retries: as a script for Parsl passes it; cnflow raises the error of the last attempt with 0.
        hint: meaning of the exit code, and what to do, where it has one: 125, 126, 127 and SIGKILL.
    """

    hint = ""

    def __init__(
        self, app_name: str, exitcode: int, command: str = "", stderr_tail: str = "", retries: int | None = 0
    ) -> None:
        self.app_name = app_name
        self.exitcode = exitcode
        self.command = command
        self.stderr_tail = stderr_tail
        self.retries = retries
        super().__init__(app_name, exitcode, command, stderr_tail, *([retries] if retries else []))

    @property
    def reason(self) -> str:
        """The message; a public name of Parsl."""
        return str(self) if self.command else self.app_name

    def __str__(self) -> str:
        if not self.command:
            return f"{self.app_name} (exit code {self.exitcode})"
        how = f"exited with code {self.exitcode}" if self.exitcode >= 0 else f"was killed by signal {-self.exitcode}"
        output = indent_under("The last lines of its stderr:", self.stderr_tail)
        hint = f" {self.hint}" if self.hint else ""
        return f"bash_app {self.app_name} {how}.{hint} Its command was:\n    {shortened(self.command)}{output}"


AppFailure = BashExitFailure
"""Name of `BashExitFailure` in older versions of Parsl."""


class BashAppNoReturn(AppFailedError):  # noqa: N818 - a public name of Parsl
    """A bash app's function returned no string; return the command line."""


class MissingShellError(AppFailedError):
    """A bash app's command needs a shell, and there is none where it runs, as in an image without one."""

    def __init__(self, app_name: str, shell: str = "/bin/sh", command: str = "") -> None:
        self.app_name = app_name
        self.shell = shell
        self.command = command
        super().__init__(app_name, shell, command)

    def __str__(self) -> str:
        return (
            f"bash_app {self.app_name} needs a shell for its command, and there is none where it runs: {self.shell} "
            "cannot be started. Install bash in the image, return a command that is one program with plain arguments, "
            f"or use a python_app. Its command was:\n    {self.command}"
        )


class PredictModuleError(AppFailedError):
    """The module of a predict_app is missing where it runs, has no such function, or returned too few or many results.

    Correct the module, the image, or the names in the call of ``predict_app``.
    """


class InvalidRowsError(AppFailedError):
    """Rows of a call are not as the model's annotations have them; correct the rows that the message names.

    Attributes:
        model: name of the model.
        details: a dict for each wrong part, with ``loc`` (path, from the number of the row), ``msg`` and ``type``, as
            pydantic has them.
    """

    def __init__(self, model: str, details: Sequence[Mapping[str, Any]]) -> None:
        self.model = model
        self.details = [dict(detail) for detail in details]
        super().__init__(model, self.details)

    def __str__(self) -> str:
        shown = [f"\n    {path_of(detail.get('loc', ()))}: {detail.get('msg', '')}" for detail in self.details[:_SHOWN]]
        more = len(self.details) - len(shown)
        return f"{self.model} cannot take these rows:{''.join(shown)}" + (f"\n    and {more} more" if more else "")


def path_of(loc: Sequence[str | int]) -> str:
    """Return *loc* as Python writes it: ``rows[3].name``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc]
    is_in_row = not loc or isinstance(loc[0], int)
    return "rows" + "".join(parts) if is_in_row else "".join(parts)[1:]


class AppBadFormatting(AppFailedError, IndexError):  # noqa: N818 - a public name of Parsl
    """A bash app's function failed in ``str.format``; correct the fields of its text, or their number.

    Also an IndexError, which `str.format` raises.
    """


class RemoteError(AppFailedError):
    """The app raised an exception whose class cannot be loaded in the driver.

    Holds the name, message and traceback of that exception; install its package beside cnflow to receive the exception
    itself.
    """

    def __init__(self, type_name: str, message: str, traceback_text: str) -> None:
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text
        super().__init__(type_name, message, traceback_text)

    def __str__(self) -> str:
        return f"{self.traceback_text}\n{self.type_name} cannot be loaded in the driver; this RemoteError replaces it."

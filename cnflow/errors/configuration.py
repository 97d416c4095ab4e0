"""What is wrong before anything is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable


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
        return f"No {self.what} is called {self.name!r}.{did_you_mean(self.name, self.known)} Known: {known}."


class MissingExtraError(ConfigurationError):
    """A backend's packages are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(what, extra)

    def __str__(self) -> str:
        return f"{self.what} needs packages that are not installed. Run: pip install 'cnflow[{self.extra}]'"


class NotCoveredError(ConfigurationError, ImportError):
    """A script written for another system uses a name of it that cnflow has nothing for; an ImportError, too."""

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(what, reason)

    def __str__(self) -> str:
        return f"{self.what} is not covered by cnflow: {self.reason}."


class ZipAuthorityError(ConfigurationError):
    """A ``zip:`` URL begins with a host; archives are files that are opened by their path."""


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


class TaskDoesNotFitError(ConfigurationError):
    """The task asks for more than any node has; nothing was run. Tells what the nodes have."""

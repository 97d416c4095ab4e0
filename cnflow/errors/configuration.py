"""Errors of the configuration or of a call, found before anything is started."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cnflow.text import did_you_mean, mask_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class CnflowError(Exception):
    """Base class of all errors of cnflow. Exceptions of the user's code are passed on unchanged.

    Passwords and tokens of URLs in its texts are masked.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(mask_url(arg) if type(arg) is str else arg for arg in args))


class ConfigurationError(CnflowError):
    """An option or an argument is wrong; nothing was started. Correct what the message names."""


class NoDataFlowKernelError(ConfigurationError):
    """An app was called, or `cnflow.dfk` used, while no run is loaded; call `cnflow.load` first."""


class AlreadyLoadedError(ConfigurationError):
    """`cnflow.load` was called while a run is loaded; end that one with `cnflow.clear` or its ``with`` block."""


class UnknownNameError(ConfigurationError):
    """A name is unknown; choose one of those that the message lists."""

    def __init__(self, what: str, name: str, known: Iterable[str], where: str = "", advice: str = "") -> None:
        self.what = what
        self.name = name
        self.known = tuple(sorted(known))
        self.where = where
        self.advice = advice
        super().__init__(what, name, self.known, where, advice)

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        near = did_you_mean(self.name, self.known)
        return f"{self.where}No {self.what} is called {self.name!r}.{near} Known: {known}.{self.advice}"


class MissingExtraError(ConfigurationError):
    """Packages that a backend needs are not installed; run the command in the message."""

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(what, extra)

    @classmethod
    @contextlib.contextmanager
    def for_import(cls, what: str, extra: str) -> Iterator[None]:
        """Raise this error instead where the body imports a module of cnflow's, and that a package which is missing."""
        try:
            yield
        except ModuleNotFoundError as error:
            if str(error.name).partition(".")[0] == "cnflow":
                raise
            raise cls(what, extra) from error

    def __str__(self) -> str:
        return f"{self.what} needs packages that are not installed. Run: pip install 'cnflow[{self.extra}]'"


class NotCoveredError(ConfigurationError, ImportError):
    """A script for another system uses one of its names that cnflow does not have; use the replacement in the message.

    Also an ImportError.
    """

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(what, reason)

    def __str__(self) -> str:
        return f"{self.what} is not covered by cnflow: {self.reason}."


class ZipAuthorityError(ConfigurationError):
    """A ``zip:`` URL begins with a host, but archives are opened by their path; write ``zip:/path/to.zip/name``."""


class MemoKeyError(ConfigurationError, ValueError):
    """An argument of an app with ``cache=True`` has a type that cannot be compared; register it with `id_for_memo`.

    Also a ValueError, which Parsl raises.
    """


class BadCheckpoint(ConfigurationError):  # noqa: N818 - a public name of Parsl
    """A checkpoint file is damaged, or is no checkpoint; leave it out, or restore it from a copy."""

    def __init__(self, path: str, found: str) -> None:
        self.path = path
        self.found = found
        super().__init__(path, found)

    def __str__(self) -> str:
        advice = "Take it out of checkpoint_files, or restore it from a copy."
        return f"{self.path} cannot be used as a checkpoint: {self.found}. {advice}"


class TaskDoesNotFitError(ConfigurationError):
    """The task requests more than any node has, and was not run; request at most what the message lists."""

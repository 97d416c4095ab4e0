"""Errors of Parsl that cnflow has no counterpart of, for the ``except`` clauses of scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import AppFailedError, BlockError, ChannelError, CnflowError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection


class InvalidAppTypeError(ConfigurationError):
    """`App` was called with a type other than ``python`` or ``bash``."""


class NotFutureError(CnflowError):
    """An object is no future. Never raised."""


class DuplicateTaskError(CnflowError):
    """Two tasks have one id. Never raised."""


class MissingFutError(CnflowError):
    """A task has no future. Never raised."""


class InvalidResourceSpecification(ConfigurationError):  # noqa: N818 - Parsl's name
    """A ``parsl_resource_specification`` has a key that the executor does not know, or a value that is invalid."""

    def __init__(self, invalid_keys: Collection[str], message: str = "") -> None:
        self.invalid_keys = invalid_keys
        self.message = message
        super().__init__(invalid_keys, message)

    def __str__(self) -> str:
        keys = ", ".join(sorted(self.invalid_keys))
        return f"parsl_resource_specification is invalid at {keys}. {self.message}"


class UnsupportedFeatureError(ConfigurationError):
    """The executor lacks a feature that was requested. Never raised."""


class ControllerError(BlockError):
    """The controller of IPyParallel failed. Never raised: cnflow has none."""


class InsufficientMPIRanks(ConfigurationError):  # noqa: N818 - Parsl's name
    """A pool of MPI workers has less than two ranks. Never raised."""


class TaskExecException(AppFailedError):  # noqa: N818 - Parsl's name
    """A task failed in a remote process. Never raised: the task's own exception is."""


class BadLauncher(ConfigurationError, TypeError):  # noqa: N818 - Parsl's name
    """A launcher cannot be called."""


class ChannelRequired(BlockError):  # noqa: N818 - Parsl's name
    """A provider needs a channel. Never raised: the default is this machine."""


class SchedulerMissingArgs(BlockError):  # noqa: N818 - Parsl's name
    """A submit script lacks an argument. Never raised: settings are checked when they are made."""


class OptionalModuleMissing(BlockError):  # noqa: N818 - Parsl's name
    """Packages of an extra are not installed. Never raised: `cnflow.errors.MissingExtraError` is."""

    def __init__(self, module_names: Collection[str], reason: str) -> None:
        self.module_names = list(module_names)
        self.reason = reason
        super().__init__(module_names, reason)

    def __str__(self) -> str:
        return f"The modules {', '.join(self.module_names)} are not installed: {self.reason}"


class BadHostKeyException(ChannelError):  # noqa: N818 - Parsl's name
    """A server's key is unknown. Never raised."""


class BadScriptPath(ChannelError):  # noqa: N818 - Parsl's name
    """A folder of scripts is missing. Never raised."""


class BadPermsScriptPath(ChannelError):  # noqa: N818 - Parsl's name
    """A folder of scripts cannot be written. Never raised."""


class FileExists(ChannelError):  # noqa: N818 - Parsl's name
    """A file is there already. Never raised."""


class AuthException(ChannelError):  # noqa: N818 - Parsl's name
    """A server refuses the user. Never raised."""


class SSHException(ChannelError):  # noqa: N818 - Parsl's name
    """A connection failed. Never raised."""


class FileCopyException(ChannelError):  # noqa: N818 - Parsl's name
    """A file could not be copied. Never raised."""

"""Errors that Parsl has and cnflow never raises, so that a script's ``except`` clauses work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import AppFailedError, CnflowError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection


class AppBadFormatting(AppFailedError):  # noqa: N818 - Parsl's name
    """A bash app's text cannot be formatted; what an app returns is taken as it is, so that this does not happen."""


class InvalidAppTypeError(ConfigurationError):
    """`App` was called with another word than ``python`` or ``bash``."""


class NotFutureError(CnflowError):
    """What should have been a future is none."""


class DuplicateTaskError(CnflowError):
    """Two tasks of one id."""


class MissingFutError(CnflowError):
    """A task without a future."""


class InvalidResourceSpecification(ConfigurationError):  # noqa: N818 - Parsl's name
    """A ``parsl_resource_specification`` names what the executor does not know, or wants what makes no sense."""

    def __init__(self, invalid_keys: Collection[str], message: str = "") -> None:
        self.invalid_keys = invalid_keys
        self.message = message
        super().__init__(invalid_keys, message)

    def __str__(self) -> str:
        return f"parsl_resource_specification: {', '.join(sorted(self.invalid_keys))} cannot be had. {self.message}"


class UnsupportedFeatureError(ConfigurationError):
    """The executor cannot do what is asked for."""

"""Errors of Parsl that cnflow has no counterpart of, for the ``except`` clauses of scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import AppFailedError, CnflowError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection


class AppBadFormatting(AppFailedError):  # noqa: N818 - Parsl's name
    """A bash app's text cannot be formatted. Never raised: cnflow runs the returned text as it is."""


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

"""Errors that Parsl has and cnflow never raises, so that a script's ``except`` clauses work."""

from cnflow.errors import AppFailedError, CnflowError, ConfigurationError


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
    """A ``parsl_resource_specification`` names what the executor does not know."""


class UnsupportedFeatureError(ConfigurationError):
    """The executor cannot do what is asked for."""

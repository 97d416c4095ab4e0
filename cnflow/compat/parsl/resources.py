"""Translates Parsl's ``parsl_resource_specification`` to `cnflow.Resources`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from cnflow.compat.parsl.errors import InvalidResourceSpecification
from cnflow.errors import ConfigurationError
from cnflow.model.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

KEYWORD = "parsl_resource_specification"

_KNOWN = ("cores", "gpus", "memory", "priority")
_MEGABYTE = 2**20


def parse_specification(specification: Mapping[str, Any] | None) -> Resources | None:
    """Parse *specification*, whose memory is in MB; return None if it is empty.

    Raises:
        InvalidResourceSpecification: it has a key that workers of a HighThroughputExecutor do not know, or an invalid
            value.
    """
    if not specification:
        return None
    unknown = {str(name) for name in specification if name not in _KNOWN}
    if unknown:
        raise InvalidResourceSpecification(unknown, f"Known are {', '.join(_KNOWN)}.")
    fields = dict(specification)
    if isinstance(fields.get("memory"), (int, float)):
        fields["memory"] *= _MEGABYTE
    try:
        return Resources.of(fields)
    except ConfigurationError as error:
        raise InvalidResourceSpecification(set(fields), str(error)) from error


def pop_resources(function: Callable[..., Any], kwargs: dict[str, Any]) -> Resources | None:
    """Remove the specification from *kwargs*, a call of *function*, and parse it or the parameter's default.

    Raises:
        InvalidResourceSpecification: see `parse_specification`.
    """
    default = _default_of(function)
    return parse_specification(kwargs.pop(KEYWORD, default))


def _default_of(function: Callable[..., Any]) -> Any:  # noqa: ANN401 - any user's value
    code = getattr(function, "__code__", None)
    names: Collection[str] = code.co_varnames if code is not None else ()
    if KEYWORD not in names:
        return None
    parameter = inspect.signature(function).parameters.get(KEYWORD)
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default

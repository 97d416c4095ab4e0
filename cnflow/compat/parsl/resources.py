"""Parsl's ``parsl_resource_specification``, as `cnflow.Resources`."""

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


def resources_in(specification: Mapping[str, Any] | None) -> Resources | None:
    """What *specification* asks for, with memory in MB; None where it asks for nothing.

    Raises:
        InvalidResourceSpecification: it asks for something that workers of a HighThroughputExecutor do not know.
    """
    if not specification:
        return None
    unknown = {str(name) for name in specification if name not in _KNOWN}
    if unknown:
        raise InvalidResourceSpecification(unknown, f"Known are {', '.join(_KNOWN)}.")
    said = dict(specification)
    if isinstance(said.get("memory"), (int, float)):
        said["memory"] *= _MEGABYTE
    try:
        return Resources.of(said)
    except ConfigurationError as error:
        raise InvalidResourceSpecification(set(said), str(error)) from error


def taken_from(function: Callable[..., Any], given: dict[str, Any]) -> Resources | None:
    """Take the specification out of the keywords of a call of *function*; where there is none, its parameter's default.

    Raises:
        InvalidResourceSpecification: as `resources_in`.
    """
    default = _default_of(function)
    return resources_in(given.pop(KEYWORD, default))


def _default_of(function: Callable[..., Any]) -> Any:  # noqa: ANN401 - whatever the user wrote
    code = getattr(function, "__code__", None)
    names: Collection[str] = code.co_varnames if code is not None else ()
    if KEYWORD not in names:
        return None
    parameter = inspect.signature(function).parameters.get(KEYWORD)
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default

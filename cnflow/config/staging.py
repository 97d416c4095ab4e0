"""Stagings in a configuration: objects in Python, tables with a kind in a file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, WithJsonSchema

from cnflow.config.registry import STAGINGS
from cnflow.errors import ConfigurationError
from cnflow.interfaces.staging import Staging
from cnflow.model.image_parts import Secret
from cnflow.text import did_you_mean

_ANY_NUMBER = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def parse_staging(value: object) -> object:
    """A staging made from a table such as ``{"kind": "http", "timeout": 10.0}``; any other value as it is.

    Raises:
        ConfigurationError: the table has no kind, its staging has no such option, or needs one that is missing.
        UnknownNameError: no staging of that kind.
    """
    if not isinstance(value, Mapping):
        return value
    cls, options = STAGINGS.class_and_options(value)
    kind, known = value["kind"], inspect.signature(cls).parameters
    for name in options:
        if name not in known:
            raise ConfigurationError(f"The staging {kind!r} has no option {name!r}.{did_you_mean(name, known)}")
    needed = [name for name, each in known.items() if each.default is each.empty and each.kind not in _ANY_NUMBER]
    missing = [name for name in needed if name not in options]
    if missing:
        raise ConfigurationError(f"The staging {kind!r} needs the option {missing[0]!r}.")
    return cls(**options)


def table_of(staging: Staging) -> dict[str, Any]:
    """The reverse of `parse_staging`.

    Raises:
        ConfigurationError: no package registers the class, so that a file cannot name it.
    """
    kind = STAGINGS.kind_of(type(staging))
    if kind is None:
        raise ConfigurationError(
            f"storage_access holds a {type(staging).__name__}, which needs Python: keep this configuration in a "
            f".py file, or register the class by an entry point of the group {STAGINGS.group}."
        )
    return {
        "kind": kind,
        **{name: _plain(value, f"{kind}.{name}") for name, value in vars(staging).items() if value is not None},
    }


def _plain(value: Any, where: str) -> Any:  # noqa: ANN401 - a setting
    """Return *value* with the sources of its secrets.

    Raises:
        ConfigurationError: the source of one is a text or a function.
    """
    if isinstance(value, Mapping):
        return {name: _plain(part, f"{where}.{name}") for name, part in value.items()}
    if not isinstance(value, Secret):
        return value
    try:
        return value.plain()
    except ConfigurationError as error:
        raise ConfigurationError(f"{where} {error}") from None


AnyStaging = Annotated[
    InstanceOf[Staging],
    BeforeValidator(parse_staging),
    PlainSerializer(table_of, when_used="json"),
    WithJsonSchema({"type": "object"}),
]
"""Type of the elements of a list of stagings."""

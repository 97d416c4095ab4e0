"""Stagings in a configuration: objects in Python, tables with a kind in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, WithJsonSchema

from cnflow.config.registry import STAGINGS, load
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.interfaces.staging import Staging
from cnflow.text import did_you_mean


def staging_from(value: object) -> object:
    """A staging made from a table such as ``{"kind": "http", "timeout": 10.0}``; anything else as it is.

    Raises:
        ConfigurationError: the table has no kind, or its staging takes no such settings.
        UnknownNameError: no staging of that kind.
    """
    if not isinstance(value, Mapping):
        return value
    settings = {str(name): part for name, part in value.items()}
    kind = settings.pop("kind", None)
    if kind is None:
        raise ConfigurationError(f"The staging {dict(value)!r} does not say its kind. Known: {', '.join(STAGINGS)}.")
    if kind not in STAGINGS:
        raise UnknownNameError("staging", str(kind), STAGINGS)
    staging = load(STAGINGS[kind], f"The staging {kind!r}")
    known = vars(staging())
    for name in settings:
        if name not in known:
            raise ConfigurationError(f"The staging {kind!r} has no option {name!r}.{did_you_mean(name, known)}")
    made: object = staging(**settings)
    return made


def table_of(staging: Staging) -> dict[str, Any]:
    """The reverse of `staging_from`.

    Raises:
        ConfigurationError: it is of the user's own class, which a file cannot name.
    """
    cls = type(staging)
    kind = next((kind for kind, target in STAGINGS.items() if target == f"cnflow.staging:{cls.__name__}"), None)
    if kind is None or not cls.__module__.startswith("cnflow.staging"):
        raise ConfigurationError(
            f"storage_access holds a {cls.__name__}, which only Python can say: keep this configuration in a .py file."
        )
    return {"kind": kind, **vars(staging)}


AnyStaging = Annotated[
    InstanceOf[Staging],
    BeforeValidator(staging_from),
    PlainSerializer(table_of, when_used="json"),
    WithJsonSchema({"type": "object"}),
]
"""What a list of stagings takes."""

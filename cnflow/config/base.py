"""Base of all settings: typos are refused with the nearest name, values are checked on every assignment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cnflow.errors import ConfigurationError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self


class Settings(BaseModel):
    """Base of everything a user writes into a `Config`. A value: printable, comparable, never live."""

    backend: ClassVar[str | Callable[..., Any]] = ""
    """Live half of the settings: ``module:Class``, imported on use, or the class itself; empty where there is none."""

    extra: ClassVar[str] = ""
    """Extra of cnflow that installs the packages which the live half imports; empty needs none."""

    packages: ClassVar[tuple[str, ...]] = ()
    """Top-level modules of that extra which the live half imports on use, so that their absence is reported early."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, validate_default=False, defer_build=True)

    def __init__(self, *positional: Any, **data: Any) -> None:  # noqa: ANN401 - pydantic validates each
        if positional:
            name = type(self).__name__
            raise ConfigurationError(f"{name} takes its options by name, such as {name}(label='...'); see its fields.")
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ConfigurationError(_explain(type(self), error, data.get("label"))) from None

    def copied(self) -> Self:
        """Copy of settings, lists and dicts in all depths; later changes of the original do not reach it.

        Objects of the user's own classes (handlers, stagings) are shared by both.
        """
        values = {name: _copy_of(getattr(self, name)) for name in type(self).model_fields}
        copy = self.model_copy(update=values)
        object.__setattr__(copy, "__pydantic_fields_set__", set(self.model_fields_set))  # of which an update adds all
        return copy

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401 - pydantic validates it
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            raise ConfigurationError(_explain(type(self), error, getattr(self, "label", None))) from None


def _copy_of(value: Any) -> Any:  # noqa: ANN401 - any field
    if isinstance(value, Settings):
        return value.copied()
    if type(value) is list:
        return [_copy_of(each) for each in value]
    if type(value) is dict:
        return {name: _copy_of(each) for name, each in value.items()}
    return value


def _explain(model: type[BaseModel], error: ValidationError, label: object) -> str:
    """One line per mistake, with the nearest option where the name itself is wrong; begins with class and *label*."""
    lines = []
    title = f"{model.__name__} {label!r}" if isinstance(label, str) else model.__name__
    for mistake in error.errors(include_url=False):
        where = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] in {"extra_forbidden", "no_such_attribute"}:
            name, known = str(mistake["loc"][-1]), sorted(model.model_fields)
            lines.append(f"{title} has no option {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
        else:
            value = "" if mistake["type"] in {"missing", "value_error"} else f", not {mistake['input']!r}"
            message = mistake["msg"].removeprefix("Value error, ")
            lines.append(": ".join(part for part in (title, where, f"{message}{value}") if part))
    return "\n".join(lines)

"""Writes a `Config` as text that `load_config` reads back to an equal one: TOML, YAML or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from cnflow.config.executors import ExecutorSettings
from cnflow.config.logging import LogConfig
from cnflow.config.providers import ProviderSettings
from cnflow.config.registry import EXECUTORS, LOGS, PROVIDERS, Registry
from cnflow.config.several import as_written
from cnflow.config.staging import table_of
from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.interfaces.staging import Staging
from cnflow.model.image import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def plain(config: BaseModel) -> dict[str, object]:
    """*config* with every option, made of nothing but dicts, lists, text, numbers, booleans and None.

    Raises:
        ConfigurationError: an option holds a value that no file can hold, such as a function; names it.
    """
    return _plain_model(config, type(config).__name__)


def to_json(config: BaseModel) -> str:
    """*config* as JSON, with Python's ``Infinity`` where a number has no end.

    Raises:
        ConfigurationError: as for `plain`.
    """
    return json.dumps(plain(config), indent=2, ensure_ascii=False)


def to_yaml(config: BaseModel) -> str:
    """*config* as YAML.

    Raises:
        ConfigurationError: as for `plain`.
        MissingExtraError: no YAML package is installed.
    """
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError("A configuration in YAML", "yaml") from error
    values = plain(config)
    # PyYAML 6.0.3 writes this line break as it is, and reads it as a blank; as an escape it survives.
    readable = "\x85" not in json.dumps(values, ensure_ascii=False)
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=readable)
    return text.rstrip("\n")


def to_toml(config: BaseModel) -> str:
    """*config* as TOML 1.0, which has no null: an option that is None by default is left out where it is None.

    Raises:
        ConfigurationError: as for `plain`; or a None would be lost, since it is not an option's default or stands
            inside a list or dict. Names its place.
    """
    return table_as_toml(_without_defaulted_none(plain(config), config))


def table_as_toml(table: Mapping[str, object]) -> str:
    """*table*, of the values that `plain` gives, as TOML.

    Raises:
        ConfigurationError: it holds a None; names its place.
    """
    _refuse_none(table, ())
    return "\n".join(_table_lines(table, ())).strip("\n")


def _plain(value: object, where: str) -> Any:  # noqa: ANN401 - one of the plain types
    if isinstance(value, BaseModel):
        return _plain_model(value, where)
    if isinstance(value, Staging):
        return table_of(value)
    if isinstance(value, Image):
        return _plain(_plain_image(value, where), where)
    if isinstance(value, Mapping):
        return {str(name): _plain(part, f"{where}.{name}") for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, f"{where}.{number}") for number, part in enumerate(value)]
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        raise ConfigurationError(
            f"{where} is a {type(value).__name__}, which needs Python: keep this configuration in a .py file.",
        ) from None


def _plain_model(model: BaseModel, where: str) -> dict[str, object]:
    _refuse_unregistered(model, where)
    return {name: _plain(as_written(getattr(model, name)), f"{where}.{name}") for name in _options(model)}


def _plain_image(image: Image, where: str) -> str | dict[str, Any]:
    try:
        return image.plain()
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _refuse_unregistered(model: BaseModel, where: str) -> None:
    """Refuse settings whose kind a file cannot name, since no package registers their class."""
    for base, registry in _SEAMS.items():
        if isinstance(model, base) and not registry.holds(model, model.kind):
            raise ConfigurationError(
                f"{where} is a {type(model).__name__} of kind {model.kind!r}, which needs Python: keep this "
                f"configuration in a .py file, or register the class by an entry point of the group {registry.group}."
            )


_SEAMS: Mapping[type[ExecutorSettings | LogConfig | ProviderSettings], Registry[Any]] = {
    ExecutorSettings: EXECUTORS,
    LogConfig: LOGS,
    ProviderSettings: PROVIDERS,
}


def _options(model: BaseModel) -> list[str]:
    return [name for name, field in type(model).model_fields.items() if not field.exclude]


def _without_defaulted_none(dumped: Any, value: object) -> Any:  # noqa: ANN401 - plain values
    """*dumped*, which `plain` made of *value*, without the options that come back as None when they are left out."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        kept = {name: part for name, part in dumped.items() if part is not None or fields[name].default is not None}
        return {name: _without_defaulted_none(part, as_written(getattr(value, name))) for name, part in kept.items()}
    if isinstance(value, list | tuple):
        return [_without_defaulted_none(part, original) for part, original in zip(dumped, value, strict=True)]
    return dumped


def _refuse_none(value: object, path: tuple[str, ...]) -> None:
    if value is None:
        raise ConfigurationError(f"{'.'.join(path)} is None, a value that TOML does not have: use YAML or JSON.")
    if isinstance(value, Mapping):
        for name, part in value.items():
            _refuse_none(part, (*path, name))
    if isinstance(value, list):
        for number, part in enumerate(value):
            _refuse_none(part, (*path, str(number)))


def _table_lines(table: Mapping[str, object], header: tuple[str, ...]) -> Iterator[str]:
    """The lines below *header*: first the plain values, since what follows another header belongs to that."""
    inner = {name: value for name, value in table.items() if _has_headers(value)}
    for name, value in table.items():
        if name not in inner:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in inner.items():
        here = (*header, name)
        dotted = ".".join(_key(part) for part in here)
        if isinstance(value, Mapping):
            yield from ("", f"[{dotted}]", *_table_lines(value, here))
        elif isinstance(value, list):
            for each in value:
                yield from ("", f"[[{dotted}]]", *_table_lines(each, here))


def _has_headers(value: object) -> bool:
    """Return whether *value* is written as ``[table]`` or ``[[table]]`` below its parent, and not in one line."""
    parts = value if isinstance(value, list) else [value]
    return bool(value) and all(isinstance(part, Mapping) for part in parts)


def _value(value: object) -> str:
    """*value* in one line. Text, as JSON writes it, is TOML but for DEL: https://toml.io/en/v1.0.0#string."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(name)} = {_value(part)}' for name, part in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)  # also inf and nan, which JSON spells otherwise
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _value(name)

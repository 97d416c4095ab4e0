"""Reads a `Config` from a file: Python, TOML, JSON or YAML."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from cnflow.config.base import Settings
from cnflow.config.config import Config
from cnflow.config.paths import path_argument
from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    import os
    from pathlib import Path

T = TypeVar("T", bound=Settings)

VARIABLE = "config"
"""Name of the variable that a Python file sets to its Config."""

FACTORY = "fresh_config"
"""Name of a function that it has instead, which returns a new one."""


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read the Config in the file at *path*; the suffix names the format.

    A Python file is run and sets the variable ``config``, or has a function ``fresh_config()`` that makes one. The
    others hold a table with the options of `Config`; an object of a class in Python is a table with the ``kind`` of
    the class there.

    Raises:
        ConfigurationError: the file cannot be read, or its content is no Config; the message begins with the path.
        MissingExtraError: its format needs an extra.
    """
    return read_settings(path, Config)


def read_settings(path: str | os.PathLike[str], model: type[T]) -> T:
    """Read settings of *model* in the way of `load_config`, whose errors it has."""
    file = path_argument(path, "path")
    read = _READERS.get(file.suffix)
    if read is None:
        raise ConfigurationError(
            f"{file}: a configuration cannot be read from a file of type {file.suffix or '(none)'!r}."
            f"{did_you_mean(file.suffix, _READERS)} Known: {', '.join(_READERS)}.",
        )
    try:
        found = read(file, model)
        return found if isinstance(found, model) else _from_table(found, model)
    except MissingExtraError:
        raise
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror or error}") from error


def _from_table(found: object, model: type[T]) -> T:
    if not isinstance(found, Mapping):
        name = model.__name__
        raise ConfigurationError(f"holds a {type(found).__name__}; expected a table with the options of {name}.")
    return model(**{str(name): value for name, value in found.items()})


def _read_python(path: Path, model: type[T]) -> T:
    """Run the file; its own exception becomes a message that names the line."""
    path.stat()  # fails for an absent file, as opposed to a file that opens an absent one
    try:
        names = runpy.run_path(str(path), run_name="cnflow_config")
        if VARIABLE not in names and callable(names.get(FACTORY)):
            names[VARIABLE] = names[FACTORY]()
    except ConfigurationError as error:
        raise ConfigurationError(f"{_line_of(error, path)}{error}") from error
    except Exception as error:
        raise ConfigurationError(f"{_line_of(error, path)}{type(error).__name__}: {error}") from error
    if VARIABLE not in names:
        own = [name for name in names if not name.startswith("__")]
        raise ConfigurationError(f"sets no variable {VARIABLE!r}.{did_you_mean(VARIABLE, own)}")
    found = names[VARIABLE]
    if not isinstance(found, model):
        what = f"{type(found).__name__}, not a {model.__name__}"
        raise ConfigurationError(f"its variable {VARIABLE!r} is a {what}.")
    return found


def _line_of(error: BaseException, path: Path) -> str:
    """``"line 7: "`` with the last line of the file that *error* passed through, empty if it did not."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {lines[-1]}: " if lines else ""


def _read_json(path: Path, model: type[Settings]) -> object:  # noqa: ARG001 - of the table below
    return _parse(json.loads, path, "JSON")


def _read_toml(path: Path, model: type[Settings]) -> object:  # noqa: ARG001 - of the table below
    # The same parser: before 3.11 it was a package of its own.
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    return _parse(toml.loads, path, "TOML")


def _read_yaml(path: Path, model: type[Settings]) -> object:  # noqa: ARG001 - of the table below
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError("A configuration in YAML", "yaml") from error
    try:
        return _parse(yaml.safe_load, path, "YAML")
    except yaml.YAMLError as error:
        raise ConfigurationError(f"it is no YAML: {' '.join(str(error).split())}") from error


def _parse(parse: Callable[[str], object], path: Path, language: str) -> object:
    """Parse the file; the parsers but YAML's raise subclasses of ValueError."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"it is no {language}: {error}") from error


_READERS: Mapping[str, Callable[[Path, type[Settings]], object]] = {
    ".py": _read_python,
    ".toml": _read_toml,
    ".json": _read_json,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
}

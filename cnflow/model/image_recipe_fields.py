"""Checks the fields of a recipe and of its steps: from what the user writes to what is kept. No I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Callable, Tuple

from cnflow.errors import ConfigurationError
from cnflow.model.image_parts import Secret
from cnflow.units import bytes_in

Words = Tuple[str, ...]

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"([a-z0-9]+([._-][a-z0-9]+)*)?")
_PYTHON = re.compile(r"(3\.\d{1,2}(\.\d{1,2})?)?")
_SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def _text(where: str, value: Any) -> str:  # noqa: ANN401 - checked here
    if not isinstance(value, (str, os.PathLike)):
        raise ConfigurationError(f"{where}: must be a text, not {value!r}.")
    return os.fspath(value)


def _not_empty(where: str, value: Any) -> str:  # noqa: ANN401 - checked here
    if not (text := _text(where, value)).strip():
        raise ConfigurationError(f"{where}: must not be empty.")
    return text


def _absolute(where: str, value: Any) -> str:  # noqa: ANN401 - checked here
    if not (text := _text(where, value)).startswith("/"):
        raise ConfigurationError(f"{where}: must be an absolute path in the image, not {text!r}.")
    return text


def _words(where: str, value: Any) -> Words:  # noqa: ANN401 - checked here
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(each, str) and each for each in words):
        raise ConfigurationError(f"{where}: must be a list of texts, not {value!r}.")
    return tuple(words)


def _some_words(where: str, value: Any) -> Words:  # noqa: ANN401 - checked here
    if not (words := _words(where, value)):
        raise ConfigurationError(f"{where}: must name one at least.")
    return words


def _texts(where: str, value: Any) -> dict[str, str]:  # noqa: ANN401 - checked here
    if not isinstance(value, Mapping) or not all(VARIABLE.fullmatch(str(name)) for name in value):
        raise ConfigurationError(f"{where}: must be a table of variables and their values, not {value!r}.")
    return {str(name): str(each) for name, each in value.items()}


def _variables(where: str, value: Any) -> dict[str, str]:  # noqa: ANN401 - checked here
    variables = _texts(where, value)
    if broken := next((name for name, each in variables.items() if set("\n\r\0") & set(each)), ""):
        raise ConfigurationError(
            f"{where}: the value of {broken!r} has several lines, which an image cannot keep. Write a file by run() or "
            "copy_local(), or set it for containers: Image(environment=...)."
        )
    return variables


def _secrets(where: str, value: Any) -> dict[str, Secret]:  # noqa: ANN401 - checked here
    if isinstance(value, (str, list, tuple)):  # variables of the driver
        value = {name: f"env:{name}" for name in _words(where, value)}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: must be a list of variables, or a table of names and sources.")
    for name in value:
        if not _SECRET.fullmatch(str(name)):
            raise ConfigurationError(f"{where}: {name!r} is no name of a secret: write letters, digits, '_', '.', '-'.")
    return {str(name): Secret.of(each) for name, each in value.items()}


def _size(where: str, value: Any) -> int:  # noqa: ANN401 - checked here
    try:
        return bytes_in(value)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}.") from None


def _name(where: str, value: Any) -> str:  # noqa: ANN401 - checked here
    if not _NAME.fullmatch(name := _text(where, value)):
        raise ConfigurationError(f"{where}: {name!r} is not part of an image's name: write 'a-z0-9._-'.")
    return name


def _python(where: str, value: Any) -> str:  # noqa: ANN401 - checked here
    if not _PYTHON.fullmatch(version := _text(where, value)):
        raise ConfigurationError(f"{where}: {version!r} is no version of Python such as '3.11'.")
    return version


CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "apt_install": _some_words,
    "args": _texts,
    "base": _text,
    "context": _text,
    "context_limit": _size,
    "copy_local": _not_empty,
    "dockerfile": _text,
    "env": _variables,
    "extras": _words,
    "groups": _words,
    "name": _name,
    "options": _words,
    "pip_install": _some_words,
    "python": _python,
    "requirements": _not_empty,
    "run": _not_empty,
    "secrets": _secrets,
    "target": _text,
    "to": _absolute,
    "user": _not_empty,
    "uv_lock": _not_empty,
    "workdir": _absolute,
}
"""Field -> its check, which gets the words that name the field in messages. A name means the same in each class."""

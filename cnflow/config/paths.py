"""Paths as a user writes them: ``~`` and variables are replaced, at the one place where settings are checked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from cnflow.errors import ConfigurationError

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[^{}]*)\})", re.ASCII)


def expand_path(path: str | os.PathLike[str]) -> str:
    """Replace a leading ``~`` or ``~name``, ``$NAME`` and ``${NAME}``, as a shell does; ``$$`` is a dollar sign.

    An absolute path that exists as it is written stays: `get_all_checkpoints` and programs pass on real names.

    Raises:
        ValueError: a variable is not set, or no user has that name; a shell would go on with another path.
    """
    text = os.fspath(path)
    if "$" in text and os.path.isabs(text) and os.path.lexists(text):  # noqa: PTH117 - a str is returned
        return text
    if text.startswith("~"):
        text = _with_home(text)
    return _VARIABLE.sub(lambda found: _value_of(found, path), text) if "$" in text else text


def path_argument(path: str | os.PathLike[str], name: str) -> Path:
    """Expand *path*, the argument *name* of a function that is no setting.

    Raises:
        ConfigurationError: as the ValueError of `expand_path`.
    """
    try:
        return Path(expand_path(path))
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}.") from error


def has_shell_marks(path: str) -> bool:
    """Return whether `expand_path` may change *path*."""
    return path.startswith("~") or "$" in path


def _with_home(text: str) -> str:
    user, slash, rest = text[1:].partition("/")
    home = os.path.expanduser(f"~{user}")  # noqa: PTH111 - a Path would also normalize the rest
    if home.startswith("~"):
        reason = f"no user is called {user!r}" if user else "this process has no home folder"
        raise ValueError(f"{text!r} begins with '~', and {reason}; write the folder's path, or './~...' for that name")
    return home.replace("$", "$$") + slash + rest  # the name of the home folder holds no variables


def _value_of(found: re.Match[str], path: str | os.PathLike[str]) -> str:
    if found["escaped"]:
        return "$"
    name = found["bare"] or found["braced"] or ""
    value = os.environ.get(name)
    if value is None:
        raise ValueError(f"{os.fspath(path)!r} names the variable {name!r}, which is not set; '$$' is a dollar sign")
    return value


def _from_settings(value: object) -> object:
    return expand_path(value) if isinstance(value, (str, os.PathLike)) else value


UnexpandedPath = Annotated[
    str, BeforeValidator(lambda value: os.fspath(value) if isinstance(value, os.PathLike) else value)
]
"""Path, also as `os.PathLike`, which the settings around it expand, or refuse to."""

PathText = Annotated[str, BeforeValidator(_from_settings)]
"""Type of an option that holds a path of this machine: text or any PathLike; its ``~`` and variables are replaced."""

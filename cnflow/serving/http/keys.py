"""API keys: who calls, by the key of a request."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)
_LEAST = 8
"""Characters of the shortest key."""


def parse_key_file(text: str) -> dict[str, str]:
    """Return the keys of a key file, by name. No I/O.

    Raises:
        ConfigurationError: a line has another form; its number is in the message, its key is not.
    """
    keys: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = [] if line.lstrip().startswith("#") else line.split()
        if not words:
            continue
        if len(words) != 2:  # noqa: PLR2004 - a name and a key
            raise ConfigurationError(
                f"Line {number} of the key file needs a name and a key; its words are {len(words)}."
            )
        if words[0] in keys:
            raise ConfigurationError(f"Line {number} of the key file: the name {words[0]!r} is there already.")
        _check(words[0], words[1], place=f"Line {number} of the key file")
        keys[words[0]] = words[1]
    return keys


class ApiKeys:
    """Finds the name of a key in a time that does not depend on the key: digests are compared."""

    def __init__(self, keys: Mapping[str, str], path: str | None = None) -> None:
        """Read the keys.

        Raises:
            ConfigurationError: a key is too short, two names have one key, or the file cannot be read.
        """
        for name, key in keys.items():
            _check(name, key, place="api_keys")
        self._given = dict(keys)
        self._path = None if path is None else Path(path)
        self._stamp: tuple[int, int, int] | None = None
        self._names: dict[bytes, str] = {}
        self._load()

    @property
    def are_needed(self) -> bool:
        """True if a call has to bring a key; a file without keys lets nobody in."""
        return bool(self._given) or self._path is not None

    def name_of(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the name of the key in *headers*; None if they have none, or a wrong one."""
        given = headers.get(b"authorization")
        if given is not None and given[:7].lower() == b"bearer ":
            key = given[7:].strip()
        else:
            key = headers.get(b"x-api-key", b"")
        return self._names.get(hashlib.sha256(key).digest())

    def reload(self) -> None:
        """Read the file again if it has changed; one that cannot be read leaves the keys as they are."""
        try:
            if self._path is not None and _stamp_of(self._path) != self._stamp:
                self._load()
                logger.info("Read %d API keys of %s", len(self._names), self._path)
        except (ConfigurationError, OSError) as error:
            logger.warning("The API keys stay as they were: %s", error)

    def _load(self) -> None:
        keys = dict(self._given)
        if self._path is not None:
            try:
                stamp = _stamp_of(self._path)
                read = parse_key_file(self._path.read_text(encoding="utf-8"))
            except ConfigurationError as error:
                raise ConfigurationError(f"{self._path}: {error}") from None
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"The key file {self._path} cannot be read: {error}") from error
            self._stamp = stamp
            for name, key in read.items():
                if keys.setdefault(name, key) != key:
                    raise ConfigurationError(f"The name {name!r} has a key in api_keys and another in {self._path}.")
        names: dict[bytes, str] = {}
        for name, key in keys.items():
            other = names.setdefault(hashlib.sha256(key.encode()).digest(), name)
            if other != name:
                raise ConfigurationError(f"{other!r} and {name!r} have the same API key.")
        self._names = names


def _check(name: str, key: str, place: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{place}: a name has letters, digits, '.', '_', '@' and '-', not {name!r}.")
    if len(key) < _LEAST or not key.isascii() or any(letter.isspace() for letter in key):
        raise ConfigurationError(f"{place}: the key of {name!r} needs {_LEAST} ASCII characters, no spaces.")


def _stamp_of(path: Path) -> tuple[int, int, int]:
    found = os.stat(path)  # noqa: PTH116 - of a file that a Secret's volume replaces
    return found.st_mtime_ns, found.st_size, found.st_ino

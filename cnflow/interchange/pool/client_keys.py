"""Public keys of the clients of a pool: a folder with a file for each.

``NAME.key`` has one line: the key (CURVE, Z85), and the client's weight if that is not 1. The folder may be a mounted
Secret or ConfigMap, whose files are links that change all at once. A key is withdrawn by deleting its file: one that
cannot be read may be half written.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from cnflow.model.pool_settings import KEY_SUFFIX

logger = logging.getLogger(__name__)

_KEY_LENGTH = 40
_MOST_WEIGHT = 1e6
_FIELDS = 2


class ClientKey(NamedTuple):
    """Entry of one client."""

    public: str
    weight: float = 1.0


class ClientKeys:
    """The keys, read again when the folder has changed.

    Args:
        folder: need not be there yet.

    Attributes:
        keys: by the name of the client.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._seen: dict[str, tuple[int, int, int]] = {}
        self.keys: dict[str, ClientKey] = {}

    def read(self) -> bool:
        """Read the folder again if it has changed; return whether it has."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        self.keys = {name: key for name in seen if (key := self._read_key(name)) is not None}
        return True

    def _look(self) -> dict[str, tuple[int, int, int]]:
        """Return what tells a file from others, by client; what was seen last where the folder cannot be listed."""
        try:
            paths = [path for path in self._folder.iterdir() if path.name.endswith(KEY_SUFFIX)]
        except FileNotFoundError:  # it is not there yet
            return {}
        except OSError as error:  # a client whose key seems to be gone would lose its tasks
            logger.warning("the keys of clients stay as they are, since their folder cannot be listed: %s", error)
            return self._seen
        found = {}
        for path in paths:
            if path.name.startswith("."):
                continue
            try:
                status = path.stat()
            except OSError as error:  # it has just gone: the others have not
                logger.debug("a key of a client: %s", error)
                continue
            found[path.name[: -len(KEY_SUFFIX)]] = status.st_mtime_ns, status.st_ino, status.st_size
        return found

    def _read_key(self, name: str) -> ClientKey | None:
        path = self._folder / f"{name}{KEY_SUFFIX}"
        try:
            return parse_key(path.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            before = self.keys.get(name)
            fate = "is not used" if before is None else "stays as it was; delete its file to withdraw it"
            logger.warning("the key of client %s %s: %s: %s", name, fate, path, error)
            return before


def parse_key(text: str) -> ClientKey:
    """Entry of a file with *text*.

    Raises:
        ValueError: it is none.
    """
    public, *rest = text.split() or [""]
    if len(public) != _KEY_LENGTH:
        raise ValueError(f"a public key has {_KEY_LENGTH} characters (Z85), this one {len(public)}")
    if len(rest) >= _FIELDS:
        raise ValueError("one line with a key and a weight is expected")
    weight = float(rest[0]) if rest else 1.0
    if not 0 < weight <= _MOST_WEIGHT:
        raise ValueError(f"a weight is above 0 and at most {_MOST_WEIGHT:.0f}, not {rest[0]}")
    return ClientKey(public, weight)

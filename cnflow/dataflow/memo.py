"""Remembers the results of apps decorated with ``cache=True`` for the length of a run.

The key is the function's own code, the arguments and the image. Values are kept pickled, so that every caller gets his
own copy.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from cnflow.errors import SerializationError
from cnflow.wire import payload

if TYPE_CHECKING:
    from cnflow.model.task import TaskToRun


class Memo:
    """A table of results; used under the kernel's lock."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}

    def find(self, key: bytes) -> tuple[bool, Any]:
        """Whether *key* is known, and a fresh copy of its value."""
        if key not in self._values:
            return False, None
        return True, payload.load(self._values[key])

    def keep(self, key: bytes, value: object) -> None:
        """Remember *value*; one that cannot be pickled is not remembered, since it could not be copied either."""
        try:
            self._values[key] = payload.dump_in_band(value)
        except Exception:  # noqa: BLE001 - a user's type may fail in any way; its caller has the value all the same
            return


def key_of(task: TaskToRun, image: str) -> bytes:
    """Key under which the result of *task* is kept.

    Raises:
        SerializationError: the function or an argument cannot be pickled, so that it has no key.
    """
    try:
        content = payload.dump_in_band((task.app.function, task.args, sorted(task.kwargs.items())))
    except Exception as error:
        raise SerializationError(
            f"{task.title} has cache=True, but cannot be pickled to make its key: {error}"
        ) from error
    return hashlib.blake2b(f"{int(task.app.kind)} {image} ".encode() + content, digest_size=16).digest()

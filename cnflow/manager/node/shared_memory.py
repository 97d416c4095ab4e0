"""Tells whether a manager and its driver share memory: a proof, not a guess from names of hosts."""

from __future__ import annotations

import os

_MEMORY = "/dev/shm"  # noqa: S108 - nothing is written there


def shares_memory(place: str) -> bool:
    """Return True if the driver's memory at *place* can be opened here, and its ``/dev/shm`` is this one.

    Args:
        place: ``/proc/PID/fd/N TOKEN``: path of a file of the driver without a name, and the text in it.
    """
    path, _, token = place.rpartition(" ")
    if not path:
        return False
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the path is a string
            if file.read() != token.encode():
                return False
        process = path.rpartition("/fd/")[0]
        return os.path.samestat(os.stat(_MEMORY), os.stat(f"{process}/root{_MEMORY}"))  # noqa: PTH116 - the same
    except OSError:
        return False

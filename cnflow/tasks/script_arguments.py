"""Command line of the user's script, on its way to the `sys.argv` of workers. No I/O.

::

    driver: sys.argv ──sendable──> ManagerSettings.argv ──encode──> VARIABLE of a worker ──take──> its sys.argv

A worker removes the variable, so that commands which tasks start do not inherit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

VARIABLE = "CNFLOW_SCRIPT_ARGV"

_MOST_BYTES = 60_000
"""A variable, twice as long as its content here, has 128 KiB at most (execve(2), MAX_ARG_STRLEN)."""


def sendable(argv: Sequence[object]) -> tuple[str, ...]:
    """Return *argv* as texts of UTF-8; of a command line that is too long for a variable, the script's name alone."""
    texts = tuple(str(each).encode(errors="replace").decode() for each in argv)
    return texts if len("\0".join(texts).encode()) <= _MOST_BYTES else texts[:1]


def encode(argv: Sequence[str]) -> str:
    """Return the value of `VARIABLE` for *argv*."""
    return "\0".join(argv).encode().hex()


def take(environment: MutableMapping[str, str]) -> list[str]:
    """Remove `VARIABLE` from *environment*, and return the command line in it; one empty text if it is missing."""
    return bytes.fromhex(environment.pop(VARIABLE, "")).decode().split("\0")

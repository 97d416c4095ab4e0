"""Functions that the workers run. Importable there, so that every system may send names instead of code."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def noop() -> None:
    """Do nothing."""


def echo(value: T) -> T:
    """Return *value*."""
    return value


def inc(number: int) -> int:
    """Add 1: one link of a chain."""
    return number + 1


def count(*values: object) -> int:
    """Return the number of arguments: the end of a fan."""
    return len(values)


def wait_for(path: str) -> None:
    """Keep a worker busy until *path* exists."""
    while not os.path.exists(path):  # noqa: PTH110 - workers import no more than this module needs
        time.sleep(0.05)


def shell() -> int:
    """Fork and exec ``/bin/sh -c true``, with as little around it as Python can do."""
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "true"], os.environ)
    return os.waitpid(child, 0)[1]


def bash() -> int:
    """Fork and exec bash, the shell of bash apps; it takes twice as long to start as Debian's sh."""
    child = os.posix_spawnp("bash", ["bash", "-c", "true"], os.environ)
    return os.waitpid(child, 0)[1]


FUNCTIONS: tuple[Callable[..., Any], ...] = (noop, echo, inc, count, wait_for, shell, bash)
"""Functions by the number that the floor sends."""

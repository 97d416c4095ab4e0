"""What the workers run. Importable there, so that every system may send names instead of code."""

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
    """Give *value* back."""
    return value


def inc(number: int) -> int:
    """One link of a chain."""
    return number + 1


def count(*values: object) -> int:
    """The end of a fan: how many came."""
    return len(values)


def wait_for(path: str) -> None:
    """Keep a worker busy until *path* is there."""
    while not os.path.exists(path):  # noqa: PTH110 - runs where nothing more than this is imported
        time.sleep(0.05)


def shell() -> int:
    """Fork and exec ``/bin/sh -c true``, with as little around it as Python can do."""
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "true"], os.environ)
    return os.waitpid(child, 0)[1]


def bash() -> int:
    """As `shell`, by the shell that bash apps are written for; it takes twice as long to start as Debian's sh."""
    child = os.posix_spawnp("bash", ["bash", "-c", "true"], os.environ)
    return os.waitpid(child, 0)[1]


FUNCTIONS: tuple[Callable[..., Any], ...] = (noop, echo, inc, count, wait_for, shell, bash)
"""The floor sends their numbers."""

"""What a pickle may name and a worker has to find; standard library only."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")


def itself(value: Value) -> Value:
    """*value*: an app pickles as the call of this on its function, so that inside a task it is the plain function."""
    return value

"""Runs a walk through a value of any depth: a recursion whose levels are in a list, not on Python's stack.

A walk is a generator that yields another walk where a function would call itself, and is sent that walk's value::

    def size(value):
        total = 1
        for part in value:
            total += yield size(part)
        return total


    run_walk(size(value))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

    Walk = Generator["Walk", Any, Any]


def run_walk(walk: Walk) -> Any:  # noqa: ANN401 - the walk's value
    """Run *walk* with all that it yields, and return its value.

    Raises:
        Exception: any that a walk raises.
    """
    levels, value = [walk], None
    while levels:
        try:
            levels.append(levels[-1].send(value))
            value = None
        except StopIteration as end:
            levels.pop()
            value = end.value
    return value

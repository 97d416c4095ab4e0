"""Submits several blocks at a time: a container engine takes a quarter of a second and more for each.

Threads of its own, since those of `concurrent.futures` take no work once the script has come to its end, while tasks
may still need blocks.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.ids import BlockId, NativeId
    from cnflow.model.block import BlockRequest, Refused

_AT_ONCE = 4


def side_by_side(
    submit: Callable[[BlockRequest], NativeId | Refused], requests: Sequence[BlockRequest], at_once: int = _AT_ONCE
) -> Mapping[BlockId, NativeId | Refused]:
    """Call *submit* for each of *requests*, for a few at a time, and return its answers.

    Raises:
        BaseException: one that a call raised, once all calls have ended.
    """
    answers: dict[BlockId, NativeId | Refused] = {}
    errors: list[BaseException] = []

    def start(some: Sequence[BlockRequest]) -> None:
        try:
            for request in some:
                answers[request.block] = submit(request)
        except BaseException as error:  # noqa: BLE001 - for the caller's thread
            errors.append(error)

    number = min(at_once, len(requests))
    others = [threading.Thread(target=start, args=(requests[n::number],), daemon=True) for n in range(1, number)]
    for thread in others:
        thread.start()
    start(requests[::number] if number else [])
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]
    return answers

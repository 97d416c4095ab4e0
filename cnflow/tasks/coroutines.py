"""Runs the coroutine that an app's function returned, in an event loop of the task's own.

::

    function(*args) ──any other value──────────────────────────────> result
         └── a coroutine ──asyncio.run: a new loop in this thread──> its value is the result
                              └── what it has started in the loop is cancelled when it returns

A loop for each task keeps tasks apart: none waits in a loop for another, and none finds what another left there.
"""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from collections.abc import Coroutine

    OnWake = Callable[[Optional[Callable[[], None]]], None]


def call_function(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], set_wake: Optional[OnWake] = None
) -> Any:  # noqa: ANN401 - the user's value
    """Call *function*, and run the coroutine that it returns if it does; parameters as for `run_coroutine`."""
    value = function(*args, **kwargs)
    return run_coroutine(value, set_wake) if type(value) is CoroutineType else value


def run_coroutine(coroutine: Coroutine[Any, Any, Any], set_wake: Optional[OnWake] = None) -> Any:  # noqa: ANN401 - the user's value
    """Run *coroutine* to its end and return its value.

    Args:
        coroutine: as the function returned it.
        set_wake: is given a function that wakes the loop from any thread, and None in the end. An exception that is
            raised in a thread from outside is noticed only when the thread no longer waits in its loop.

    Raises:
        BaseException: any that the coroutine raises, without the frames of the loop in its traceback.
    """
    import asyncio

    async def run() -> tuple[Any, Optional[BaseException]]:
        if set_wake is not None:
            loop = asyncio.get_running_loop()
            set_wake(lambda: _wake(loop))
        try:
            return await coroutine, None
        except BaseException as error:  # noqa: BLE001 - raised again outside of the loop
            return None, error
        finally:
            if set_wake is not None:
                set_wake(None)

    try:
        value, error = asyncio.run(run())
    finally:
        coroutine.close()  # where it was stopped before it began
    if error is not None:
        raise error
    return value


def _wake(loop: Any) -> None:  # noqa: ANN401 - an event loop
    import contextlib

    with contextlib.suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(lambda: None)

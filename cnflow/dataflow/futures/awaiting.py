"""``await future``: waits for a future of cnflow in an event loop.

::

    await future ──done──> its result or exception
          └─not done──> bridge, an asyncio.Future of this loop: one for all that await it there
                          ^                     └──shield──> each awaits the bridge
                          └── call_soon_threadsafe, in a callback of the future

A task that awaits and is cancelled leaves the future as it is: others may need it. ``future.cancel()`` cancels it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.futures.callbacks import on_done

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator
    from concurrent.futures import Future


class Bridge(NamedTuple):
    """What the tasks of one loop await instead of a future."""

    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]

    def wait(self) -> Generator[Any, None, None]:
        """Wait until the future is done; whoever waits may be cancelled without an effect on the others."""
        import asyncio  # noqa: PLC0415 - imported already where there is a loop

        yield from asyncio.shield(self.done).__await__()


def bridge_to(future: Future[Any], bridge: Bridge | None) -> Bridge:
    """Return a bridge from *future*, which threads settle, to the running loop.

    *bridge* is the one of the last time; in the same loop, it is used again.
    """
    import asyncio  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    if bridge is not None and bridge.loop is loop:
        return bridge
    done: asyncio.Future[None] = loop.create_future()

    def wake(_: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody awaits
            loop.call_soon_threadsafe(_set, done)

    on_done(future, wake)
    return Bridge(loop, done)


def _set(done: asyncio.Future[None]) -> None:
    if not done.done():  # cancelled with all others at the end of its loop
        done.set_result(None)

"""Copies that transfers make, and futures of what follows from them."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.staging.built_in import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Callable


class Kept:
    """Copy in a folder of its own, which is removed with the last file that refers to it, where the driver sees it.

    Args:
        path: of the copy.
    """

    __slots__ = ("_folder", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._folder = TemporaryFolder(str(Path(path).parent))

    def remove(self) -> None:
        """Remove the folder; does nothing where only the nodes see it."""
        self._folder.remove()


class Following(Future[Any]):
    """Future of what follows another one; `before` is that."""

    before: Future[Any] | None = None

    def describe_progress(self) -> str:
        """Describe how far it is, for people."""
        describe = getattr(self.before, "describe_progress", None)
        return describe() if callable(describe) else "not begun"


def after(before: Future[Any], follow: Callable[[Any], Any]) -> Following:
    """Return a future of what *follow* returns, called with the value of *before*; if that is a future, of its value.

    It fails as *before*, *follow*, or that future.
    """
    whole = Following()
    whole.before = before
    whole.set_running_or_notify_cancel()

    # Neither refers to the future that calls it: a copy goes with the last file, not with the next garbage collection.
    def on_before(done: Future[Any]) -> None:
        whole.before = None
        try:
            value = follow(done.result())
        except BaseException as error:  # noqa: BLE001 - the future's
            whole.set_exception(error)
            return
        if isinstance(value, Future):
            whole.before = value
            value.add_done_callback(on_value)
        else:
            whole.set_result(value)

    def on_value(done: Future[Any]) -> None:
        whole.before = None
        try:
            whole.set_result(done.result())
        except BaseException as error:  # noqa: BLE001 - the future's
            whole.set_exception(error)

    before.add_done_callback(on_before)
    return whole

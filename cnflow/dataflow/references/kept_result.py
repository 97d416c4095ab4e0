"""`KeptResult`: a result that lies on the node that made it, in the place of the value in its task's future.

::

    Outcome.items["value"] ──> KeptResult ──argument of a task of the same executor──> item: the node has it, or gets it
                                   │
                                   ├── future.result(), await, a part of it, an argument elsewhere ──> fetched, once:
                                   │        item ──ItemStore.fetch──> file ──mapped, removed──> value
                                   ├── lost with its node ──> its task runs again (`keeper`), then as before
                                   └── nobody refers to it ──> released: the node drops it

Nothing here waits but `value`, which the user's own threads call.
"""

from __future__ import annotations

import os
import threading
import weakref
from concurrent.futures import Future
from io import FileIO
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cnflow.dataflow.backpressure import is_driver_thread
from cnflow.dataflow.futures.callbacks import on_done
from cnflow.dataflow.references.landing import landing_path
from cnflow.errors import (
    ConfigurationError,
    ExecutorClosedError,
    ItemLostError,
    NoDataFlowKernelError,
    PythonMismatchError,
    SerializationError,
)
from cnflow.model import item as items
from cnflow.model.pickle_hooks import keep_identity
from cnflow.tasks import area, inside, value_files
from cnflow.tasks.file_identity import identity_of
from cnflow.tasks.values import load_value, loaded
from cnflow.text import amount_of_memory, describe_error, is_ctrl_c

if TYPE_CHECKING:
    from cnflow.interfaces import ItemStore
    from cnflow.model.item import Item
    from cnflow.tasks.values import Description

_WAITING_THREADS = ("cnflow-callbacks", "cnflow-_join")
"""Prefixes of the driver's threads in which the user's code may wait."""


class Remaking(Protocol):
    """Makes lost results again; see `cnflow.dataflow.references.keeper`."""

    def remake(self, lost: KeptResult) -> Future[Any]:
        """Run the task of *lost* again; the future has its result as it is, a `KeptResult` or a value.

        Raises:
            Exception: it cannot be run again.
        """


class Holding:
    """An item that is held; released when the last reference to this object is gone.

    Attributes:
        item: in `store`.
        store: that of the executor whose node has it.
    """

    __slots__ = ("__weakref__", "item", "store")

    def __init__(self, item: Item, store: ItemStore) -> None:
        self.item = item
        self.store = store
        weakref.finalize(self, store.release, item).atexit = False


has_any = False
"""A result has stayed on its node in this process."""


class _Nothing(NamedTuple):
    """Stands for a value that is not here."""


_NOTHING = _Nothing()


class KeptResult:
    """Result of a task, on its node. Safe from any thread.

    Args:
        holding: the item.
        title: of the task, for messages.
        description: of the value.
        maker: makes it again if it is lost.
        recipe: what *maker* needs.
    """

    __slots__ = (
        "__weakref__",
        "_content",
        "_description",
        "_fetched",
        "_lock",
        "_maker",
        "_near",
        "_path",
        "_process",
        "_remade",
        "_value",
        "holding",
        "recipe",
        "remakes",
        "title",
    )  # fmt: skip

    def __init__(self, holding: Holding, title: str, description: Description, maker: Remaking, recipe: Any) -> None:  # noqa: ANN401 - the maker's own
        global has_any  # noqa: PLW0603 - so that other runs do not look for kept results
        has_any = True
        self.holding: Holding | None = holding
        """None once only the value is left: made again, it was too small to stay."""

        self.title = title
        self._description = description
        self.recipe = recipe
        self.remakes = 0
        self._maker = maker
        self._lock = threading.Lock()
        self._fetched: Future[None] | None = None
        self._remade: Future[None] | None = None
        self._path = ""
        self._near: FileIO | None = None
        """The node's own file, where this is its machine."""

        self._process = os.getpid()
        self._content: memoryview | None = None
        """What was mapped, and is not loaded."""

        self._value: Any = _NOTHING

    # As an argument

    def is_in(self, store: object) -> bool:
        """Return True if tasks of the executor with *store* are given it as an item."""
        holding = self.holding
        return holding is not None and store is not None and holding.store is store

    def is_here(self) -> bool:
        """Return True if `value` does not wait."""
        is_mapped = self._value is not _NOTHING or self._content is not None
        return is_mapped or bool(self._path) or self._near is not None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the item; only for the executor that has it.

        Raises:
            SerializationError: anybody else pickles it.
        """
        holding = self.holding
        if holding is None or items.store() is not holding.store:
            raise SerializationError(f"The result of {self.title} is on its node: ask for its result() first.")
        items.note(holding.item)
        return load_value, (holding.item.key, True)

    # As a value

    def value(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - the user's
        """Fetch and return the value, always the same object.

        Raises:
            TimeoutError: it is not here after *timeout* seconds, and is still fetched.
            ItemLostError: its node is gone, and it could not be made again.
            StagingError: it cannot be fetched; another call tries again.
            ConfigurationError: this thread must not wait.
        """
        if not self.is_here():
            fetched = self.fetch()
            if not fetched.done():
                self._check_thread()
            fetched.result(timeout)
        return self._load()

    def fetch(self) -> Future[None]:
        """Return a future that is done once `value` does not wait; one that has failed is begun anew."""
        with self._lock:
            fetched = self._fetched
            if fetched is not None and not (fetched.done() and fetched.exception()):
                return fetched
            fetched = self._fetched = Future()
            if self.is_here():
                fetched.set_result(None)
                return fetched
        if os.getpid() != self._process:  # no thread of this process would bring it
            fetched.set_exception(self._refusal_of_child())
            return fetched
        self._begin_fetch(fetched)
        return fetched

    def _refusal_of_child(self) -> NoDataFlowKernelError:
        return NoDataFlowKernelError(
            f"The result of {self.title} is on its node, and was asked for in process {os.getpid()}, which was forked "
            f"from process {self._process}: that one alone can fetch it. Ask for its result() before the fork."
        )

    def _begin_fetch(self, fetched: Future[None]) -> None:
        holding = self.holding
        if holding is None or self._open_near(holding.item):
            fetched.set_result(None)
            return
        try:
            path = landing_path(holding.item.size)
            arriving = holding.store.fetch(holding.item, path)
        except BaseException as error:
            fetched.set_exception(error)
            if is_ctrl_c(error):
                raise
            return
        arriving.add_done_callback(lambda done: self._on_arrived(done, fetched))

    def _open_near(self, item: Item) -> bool:
        """Open the node's own file if this is its machine, so that nothing is copied."""
        path = area.object_path(self._description.root, item.key)
        try:
            near = FileIO(path)
        except OSError:
            return False
        if identity_of(near.fileno()) != self._description.identity:
            near.close()
            return False
        self._near = near
        return True

    def _on_arrived(self, arriving: Future[str], fetched: Future[None]) -> None:
        error = arriving.exception()
        if error is None:
            self._path = arriving.result()
            fetched.set_result(None)
        elif isinstance(error, ItemLostError):
            self.remake().add_done_callback(lambda remade: self._on_remade_for(remade, fetched))
        elif isinstance(error, ExecutorClosedError):
            ended = ExecutorClosedError(
                f"The result of {self.title} ({self.size_in_words()}) was on its node, and is gone: the run has ended. "
                "Ask for its result() before, or leave keep_remote out."
            )
            ended.__cause__ = error
            fetched.set_exception(ended)
        else:
            fetched.set_exception(error)

    def _on_remade_for(self, remade: Future[None], fetched: Future[None]) -> None:
        error = remade.exception()
        if error is None:
            self._begin_fetch(fetched)
        else:
            fetched.set_exception(error)

    def _check_thread(self) -> None:
        name = threading.current_thread().name
        if is_driver_thread() and not inside.thread.runs_task and not name.startswith(_WAITING_THREADS):
            raise ConfigurationError(
                f"The result of {self.title} is on its node, and thread {name!r}, which brings results, was to wait "
                "for it. Ask for it in the script, in a task, or in a callback of its future."
            )

    def _load(self) -> Any:  # noqa: ANN401 - the user's
        with self._lock:
            if self._value is _NOTHING:
                if self._content is None:
                    self._content = self._map()
                try:
                    self._value = loaded(self._content)
                except BaseException as error:
                    if is_ctrl_c(error) or isinstance(error, PythonMismatchError):
                        raise
                    raise SerializationError(
                        f"The result of {self.title} cannot be loaded in the driver: {describe_error(error)}. Install "
                        "what it needs in the driver, too, or pass its future to tasks alone."
                    ) from error
                self._content = None  # kept until here: it is asked for again where it could not be loaded
            return self._value

    def _map(self) -> memoryview:
        if self._near is not None:
            content = value_files.map_file(self._near.fileno(), private=True)
            self._near.close()
            self._near = None
            return content
        content = value_files.map_file(self._path, private=True)
        if os.getpid() == self._process:
            os.unlink(self._path)  # noqa: PTH108 - the path is a string; the map stays
        self._path = ""
        return content

    # When it is lost

    def remake(self) -> Future[None]:
        """Have it made again, once for all who find it lost at the same time.

        The future's error: ItemLostError, with what was lost, and why it was not made again.
        """
        with self._lock:
            if self._remade is not None and not self._remade.done():
                return self._remade
            remade = self._remade = Future()
        try:
            again = self._maker.remake(self)
        except BaseException as error:
            remade.set_exception(self._lost(error))
            if is_ctrl_c(error):
                raise
        else:
            on_done(again, lambda done: self._on_remade(done, remade))
        return remade

    def _on_remade(self, again: Future[Any], remade: Future[None]) -> None:
        if again.cancelled() or (error := again.exception()) is not None:
            remade.set_exception(self._lost(ConfigurationError("it was cancelled") if again.cancelled() else error))
            return
        made = Future.result(again)  # as it is, where that of an AppFuture fetches
        if type(made) is KeptResult:
            self._description, self.holding = made._description, made.holding  # noqa: SLF001 - its own class's
        else:
            self._value, self.holding = made, None
        remade.set_result(None)

    def _lost(self, error: BaseException | None) -> ItemLostError:
        why = "" if error is None else f", and could not be made again: {describe_error(error)}"
        lost = ItemLostError(f"The result of {self.title} ({self.size_in_words()}) was lost with its node{why}")
        lost.__cause__ = error
        if self.holding is not None:
            lost.key = self.holding.item.key
        return lost

    def where(self) -> str:
        """Return words for people on what it is, and who has it."""
        holding = self.holding
        places = [] if holding is None else [*holding.store.locations(holding.item)]
        return f"{self.size_in_words()}, {', '.join([*places, *(['the driver'] if self.is_here() else [])])}"

    def size_in_words(self) -> str:
        """Return its size and type for people."""
        size = "" if self.holding is None else f"{amount_of_memory(self.holding.item.size)}, "
        return f"{size}{self._description.kind}"

    def __repr__(self) -> str:
        return f"<KeptResult of {self.title}: {self.size_in_words()}>"


keep_identity(KeptResult)

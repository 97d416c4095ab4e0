"""Models that workers load before their first task: what was sent of them, and which workers have loaded them.

::

    add, remove ──> Prepare: all models of the executor, in place of those of the message before
    Prepared ──> ready: manager, worker ──> on_prepared of the model
    manager lost ──> its workers are not ready any more
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.executors.high_throughput.own_modules.registry import records_of
from cnflow.wire.function_messages import Prepare
from cnflow.wire.serialization import MINOR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.serialization import TaskSerializer
    from cnflow.ids import FunctionId
    from cnflow.model.task import AppFunction
    from cnflow.wire.function_messages import Function, Prepared


class PreparedModel(NamedTuple):
    """A worker has loaded a model, or cannot."""

    app: AppFunction
    manager: str
    """Its id, as hexadecimal digits."""

    worker: int
    """Rank in its manager."""

    error: str = ""
    """Class, text and traceback of what its import or ``setup()`` raised; empty if it is loaded."""

    description: bytes = b""
    """`cnflow.tasks.models.Description` as JSON."""

    seconds: float = 0.0
    """Time that it took."""


class _Model:
    __slots__ = ("app", "function", "on_prepared", "ready")

    def __init__(self, app: AppFunction, function: Function, on_prepared: Callable[[PreparedModel], None]) -> None:
        self.app = app
        self.function = function
        self.on_prepared = on_prepared
        self.ready: set[tuple[str, int]] = set()


class ModelPreparation:
    """The models; the module has a picture. Safe from any thread.

    Args:
        serializer: makes bytes of them.
        client: carries orders to the interchange.
    """

    def __init__(self, serializer: TaskSerializer, client: InterchangeClient) -> None:
        self._serializer = serializer
        self._client = client
        self._lock = threading.Lock()
        """Held while the models change, and are sent: orders leave in the order of the changes."""

        self._models: dict[AppFunction, _Model] = {}
        self._has_met_other_pythons = False

    def add(self, apps: Collection[AppFunction], on_prepared: Callable[[PreparedModel], None]) -> None:
        """Have workers load *apps*, too.

        Raises:
            SerializationError: one of them cannot be pickled; nothing was changed.
        """
        if self._has_met_other_pythons:
            self._serializer.has_other_pythons = True
        functions = [self._serializer.function_of(app) for app in apps]
        with self._lock:
            for app, function in zip(apps, functions, strict=True):
                self._models[app] = _Model(app, function, on_prepared)
            self._send()

    def remove(self, apps: Collection[AppFunction]) -> None:
        """Have workers that start from now on not load *apps*."""
        with self._lock:
            known = [app for app in apps if self._models.pop(app, None) is not None]
            if known:
                self._send()

    def ready_workers(self, app: AppFunction) -> int:
        """Number of workers that have loaded *app*."""
        with self._lock:
            model = self._models.get(app)
            return 0 if model is None else len(model.ready)

    def on_prepared(
        self, message: Prepared, manager: str
    ) -> tuple[Callable[[PreparedModel], None], PreparedModel] | None:
        """Note the news of a worker of *manager*; return what takes it, and what it is. None if nobody waits for it."""
        with self._lock:
            model = self._by_id(message.function)
            if model is None:
                return None
            worker = manager, message.worker
            if message.error:
                model.ready.discard(worker)
            else:
                model.ready.add(worker)
        news = PreparedModel(model.app, manager, message.worker, message.error, message.description, message.seconds)
        return model.on_prepared, news

    def on_python(self, python: str) -> None:
        """Send models as source from now on, if workers run another *python* than the driver, a minor version."""
        if python == MINOR or self._serializer.has_other_pythons:
            return
        with self._lock:
            self._has_met_other_pythons = True
            if not self._models:
                return  # its tasks are sent as source once one is refused
            self._serializer.has_other_pythons = True
            for model in self._models.values():
                model.function = self._serializer.function_of(model.app)
                model.ready.clear()
            self._send()

    def on_manager_lost(self, manager: str) -> None:
        """Count the workers of *manager* no more."""
        with self._lock:
            for model in self._models.values():
                model.ready = {worker for worker in model.ready if worker[0] != manager}

    def _by_id(self, function: FunctionId) -> _Model | None:
        return next((model for model in self._models.values() if model.function.id == function), None)

    def _send(self) -> None:
        functions = {
            each.id: each
            for model in self._models.values()
            for each in (*records_of(model.function), model.function)  # records before what needs them
        }
        self._client.order(Prepare(list(functions.values())))

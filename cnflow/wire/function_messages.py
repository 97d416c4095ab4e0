"""Functions on the wire, and the messages that have models loaded before their first task; `messages` has the table."""

from __future__ import annotations

from typing import Annotated, Optional

import msgspec

from cnflow.ids import FunctionId
from cnflow.wire.base import Message
from cnflow.wire.manager_messages import Duration

Natural = Annotated[int, msgspec.Meta(ge=0)]


class Batching(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """`cnflow.model.batching.BatchLimits`, on the wire."""

    max_batch: Annotated[int, msgspec.Meta(ge=1)]
    max_wait: Duration = 0.0
    latency_target: Duration = 0.0
    accelerators: int = -1
    load_timeout: Duration = 0.0
    """Seconds that a worker has to load the model before its first call; 0 for no limit."""


class Function(msgspec.Struct, array_like=True, gc=False):
    """Function that workers run, of a `cnflow.model.task.AppKind`; sent once to each manager and to each worker."""

    id: FunctionId
    name: str
    kind: int
    python: str
    """Minor version whose bytecode is in `body`; empty when any Python can load it."""

    body: bytes
    modules: tuple[FunctionId, ...] = ()
    """Records of the user's own modules, sent like functions and before this one (`cnflow.tasks.own_modules`)."""

    batching: Optional[Batching] = None
    """Limits of its batches; None for a function whose tasks run one by one."""


# Driver -> interchange -> manager
class Prepare(Message):
    """Load these models in all workers, those of managers that register later too, before tasks of them come.

    They replace those of an earlier message of the same driver: an empty list ends that.
    """

    functions: list[Function]


# Manager -> interchange -> driver
class Prepared(Message):
    """A worker has loaded a model of `Prepare`, or cannot."""

    function: FunctionId
    worker: int
    """Rank in its manager."""

    error: str = ""
    """Class, text and traceback of what `setup` or the import raised; empty if the model is loaded."""

    description: bytes = b""
    """`cnflow.tasks.models.Description` as JSON: methods, schemas of a row and of a result."""

    seconds: Duration = 0.0
    """Time that it took."""

    manager: Natural = 0
    """`ManagerUp.number`, as the interchange sets it."""

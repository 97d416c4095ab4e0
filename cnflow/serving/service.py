"""Seam between the HTTP front and what answers its requests.

::

    HTTP request ──front──> ModelCall ──ModelService.predict──> Prediction ──front──> HTTP response
                    │                          └── ServingError: its status, code and words are the response
                    └── stream ──ModelService.stream──> pieces, one by one, as they come
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cnflow.errors import CnflowError
from cnflow.tasks.models import RowForm as RowForm  # noqa: PLC0414, TC001 - fronts, services have it from here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence


class ModelCall(NamedTuple):
    """One request to a model."""

    model: str
    """Name, without its version."""

    form: RowForm
    rows: Any
    """As `form` has it."""

    row_count: int
    """Number of rows."""

    version: str = ""
    """Version that answers; empty lets the weights choose."""

    request_id: str = ""
    timeout: float | None = None
    """Seconds until the caller gives up; None is the limit of the model."""

    apart: str = ""
    """As in `cnflow.model.batching.BatchPart`."""

    is_bulk: bool = False
    traceparent: str = ""
    """W3C trace context of the caller; empty for none."""

    options: Mapping[str, Any] = {}
    """Parameters of the request for ``stream()`` or ``predict()``, where the model takes any."""

    client: str = ""
    """Name of the API key that asks; empty where none is needed."""


class Prediction(NamedTuple):
    """Answer to a `ModelCall`."""

    results: Any
    """In the form of the call: bytes of a JSON array, a list of Tensors, a list."""

    version: str
    digest: str = ""
    """Digest of the image that answered; empty where it is not known."""

    queue_seconds: float = 0.0
    compute_seconds: float = 0.0


class VersionStatus(NamedTuple):
    """One version of a model."""

    version: str
    weight: float
    """Share of the calls without a version, of the sum of all weights."""

    is_shadow: bool
    """It gets a copy of the calls, and nobody its answers."""

    state: str
    """``loading``, ``ready``, ``draining``, ``failed`` or ``asleep`` (scaled to zero; a call wakes it)."""

    reason: str
    """Why it is not ready, in words; empty if it is."""

    image: str
    digest: str
    description: Mapping[str, Any]
    """`cnflow.tasks.models.Description` as a dict; empty until a worker has loaded the model."""

    workers: int
    in_flight: int
    aliases: Sequence[str] = ()
    """Names that it had before the digest of its image was known."""


class ModelStatus(NamedTuple):
    """One model and its versions."""

    name: str
    versions: Sequence[VersionStatus]


class ServingError(CnflowError):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        code: short name in the answer, such as ``model_not_found``.
        retry_after: seconds after which another try makes sense; None for never or unknown.
        details: parts of a wrong input, each a dict with ``loc`` (path), ``msg`` and ``type``, as pydantic has them.
    """

    def __init__(
        self,
        message: str,
        status: int,
        code: str,
        retry_after: float | None = None,
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.details = details


class ModelService(Protocol):
    """Answers calls of models; its methods are called in one event loop."""

    @property
    def is_ready(self) -> bool:
        """True once every model that should be loaded is; False again while it drains."""

    def models(self) -> Mapping[str, ModelStatus]:
        """Models by name."""

    async def predict(self, call: ModelCall) -> Prediction:
        """Answer *call*. Cancelling the coroutine gives the call up, and stops its task where it runs alone.

        Raises:
            ServingError: with the status to answer.
        """

    def stream(self, call: ModelCall) -> AsyncIterator[Any]:
        """Yield the pieces of the model's ``stream()``: bytes of JSON each. Closing the iterator stops the task.

        Raises:
            ServingError: before the first piece, or between two.
        """


class ServiceAdmin(Protocol):
    """Changes which versions answer; its methods are called in the event loop of a front.

    Those that move calls return True once these have moved, and False if that takes longer: it goes on.

    Raises:
        ServingError: by each method, with the status to answer.
    """

    async def set_weights(self, model: str, weights: Mapping[str, float]) -> bool:
        """Share the calls of *model* by *weights*; a version that is not named gets none."""

    async def set_shadow(self, model: str, shares: Mapping[str, float]) -> None:
        """Send copies of these shares of the calls of *model* to versions, and no longer to others."""

    async def roll(self, model: str, version: str) -> bool:
        """Warm *version* up, move all calls to it, and let those that the others have end."""

    async def roll_back(self, model: str) -> bool:
        """Return to the weights before the last change."""

    async def drain(self) -> None:
        """Take no more calls, and end those that there are."""

"""Decides by its error whether a call is tried again, and which answer it gets if not. No I/O.

::

    manager, node or interchange lost ──> again, up to `retries` times ──> 503, Retry-After
    worker died (the manager has halved its batch until the call was alone) ──> again, alone ──> 500
    rows refused ──> 422 with paths      walltime ──> 504      run ends ──> 503
    image, blocks ──> 503                anything that the model raised ──> 500 with its class and text
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import (
    AppTimeout,
    BlockError,
    ExecutorClosedError,
    InterchangeLostError,
    InvalidRowsError,
    ManagerLost,
    PredictModuleError,
    SerializationError,
    TaskCutOff,
    WorkerLost,
)
from cnflow.serving.public_words import public_words
from cnflow.serving.service import ServingError
from cnflow.text import describe_safely

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.model.task import Outcome

_LOST = (ManagerLost, TaskCutOff, InterchangeLostError)
_FIRST_DELAY = 0.05
_MOST_DELAY = 2.0
_RETRY_AFTER = 5.0
_MOST_WORDS = 4000
_UNAVAILABLE = 503

_ANSWERS: Mapping[type[BaseException], tuple[int, str, str]] = {
    AppTimeout: (504, "timeout", ""),
    ExecutorClosedError: (_UNAVAILABLE, "shutting_down", "The server ends: "),
    CancelledError: (_UNAVAILABLE, "cancelled", "The call was cancelled: "),
    BlockError: (_UNAVAILABLE, "no_workers", "No worker can be started: "),
    PredictModuleError: (500, "model_broken", ""),
    SerializationError: (500, "unserializable", ""),
}
"""Status, code and first words of the answers to some errors."""


class Retry(NamedTuple):
    """The call is tried again."""

    delay: float
    """Seconds until then."""

    is_alone: bool = False
    """Not in a batch with others: it may have killed its worker."""


class Attempts:
    """Failed attempts of one call, which other calls had no part in.

    Attributes:
        lost: attempts whose manager, node or interchange was lost.
        died: attempts whose worker died.
    """

    __slots__ = ("died", "lost")

    def __init__(self) -> None:
        self.lost = 0
        self.died = 0


def decide(outcome: Outcome, attempts: Attempts, *, retries: int, worker_retries: int) -> Retry | ServingError:
    """Decide on a failed attempt, and count it in *attempts*."""
    error = outcome.error
    if isinstance(error, _LOST):
        attempts.lost += 1
        if attempts.lost <= retries:
            return Retry(0.0 if attempts.lost == 1 else min(_MOST_DELAY, _FIRST_DELAY * 2**attempts.lost))
        return ServingError(
            f"The call was lost {attempts.lost} times with its node or interchange, the last time so: "
            f"{_words(outcome)}",
            503,
            "workers_lost",
            retry_after=_RETRY_AFTER,
        )
    if isinstance(error, WorkerLost):
        attempts.died += 1
        if attempts.died <= worker_retries:
            return Retry(0.0, is_alone=True)
        return ServingError(
            f"The worker died while it answered this call alone, {attempts.died} times: {_words(outcome)}",
            500,
            "worker_died",
        )
    return _answer(outcome, error)


def _answer(outcome: Outcome, error: BaseException | None) -> ServingError:
    words = _words(outcome)
    if isinstance(error, InvalidRowsError):
        return ServingError(words, 422, "invalid_rows", details=error.details)
    for kind, (status, code, before) in _ANSWERS.items():
        if isinstance(error, kind):
            return ServingError(before + words, status, code, _RETRY_AFTER if status == _UNAVAILABLE else None)
    return ServingError(f"The model raised {words}", 500, "model_error")


def _words(outcome: Outcome) -> str:
    assert outcome.error is not None  # callers have a failed attempt
    return public_words(outcome.words or describe_safely(outcome.error))[:_MOST_WORDS]


def ending() -> ServingError:
    """Error of a call that the end of the server has overtaken."""
    return ServingError("The server ends: send the request again.", 503, "shutting_down", retry_after=5.0)

"""Uses of a model beside the graph, by the executor that would run its tasks: streams, and loading it before calls.

::

    app.stream(row) ──executor.direct──> worker ──piece, piece, ...──> PieceStream ──next()──> the user
                                                                          └── close: the call is stopped
    app.prepare()   ──executor.direct──> all workers, and those that start later; future: the first one's description
"""

from __future__ import annotations

import logging
import queue
import weakref
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any

from cnflow.errors import PredictModuleError
from cnflow.tasks.models import parse_description

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.executors.high_throughput.direct_calls import DirectCalls
    from cnflow.executors.high_throughput.model_preparation import PreparedModel
    from cnflow.model.task import AppFunction, Outcome, RunOptions
    from cnflow.tasks.models import Description

logger = logging.getLogger(__name__)


class PieceStream:
    """Iterator over the pieces of one call of ``stream()``, as they come.

    Raises:
        BaseException: by ``next``: the error of the call, after the pieces that came before it.
    """

    def __init__(self, direct: DirectCalls, app: AppFunction, args: tuple[Any, ...], options: RunOptions) -> None:
        self._direct = direct
        self._arrived: queue.SimpleQueue[tuple[Any, Outcome | None]] = queue.SimpleQueue()
        self._is_over = False
        arrived = self._arrived
        self._call = direct.submit(
            app,
            args,
            None,
            options,
            done=lambda outcome: arrived.put((None, outcome)),
            piece=lambda piece: arrived.put((piece, None)),
        )
        self._stop = weakref.finalize(self, direct.cancel, [self._call])
        self._stop.atexit = False  # the run has ended then

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - the user's value
        if self._is_over:
            raise StopIteration
        piece, outcome = self._arrived.get()
        if outcome is None:
            return piece
        self._is_over = True
        self._stop.detach()
        if outcome.error is not None:
            raise outcome.error
        raise StopIteration

    def close(self) -> None:
        """Stop the call, unless it has ended; also done when nobody refers to this any more."""
        self._is_over = True
        self._stop()


def prepare(direct: DirectCalls, app: AppFunction) -> Future[Description]:
    """Have all workers load *app* before they get tasks of it; return the description by the first one that has."""
    future: Future[Description] = Future()

    def on_prepared(news: PreparedModel) -> None:
        place = f"worker {news.worker} of manager {news.manager}"
        try:
            if news.error:
                logger.warning("%s cannot be loaded by %s: %s", app.name, place, news.error)
                future.set_exception(PredictModuleError(f"{app.name} cannot be loaded by {place}:\n{news.error}"))
            else:
                logger.info("%s was loaded by %s in %.1f s", app.name, place, news.seconds)
                future.set_result(parse_description(news.description))
        except InvalidStateError:
            pass  # another worker was first

    direct.prepare([app], on_prepared)
    return future

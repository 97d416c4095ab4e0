"""Look-up of a part in a task's result.

::

    look_up(...) ──> the result is plain ───────────────────────────────────────────┬──> on_found(part)
                 └─> it stays on a node, or is of a user's type ──> a thread apart ─┴──> on_failed(error)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.dataflow.backpressure import is_driver_thread
from cnflow.dataflow.futures.parts import add_result_type
from cnflow.dataflow.references.kept_result import KeptResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.dataflow.futures.callbacks import CallbackThreads
    from cnflow.dataflow.futures.parts import Part

_PLAIN = frozenset({dict, list, tuple, str, bytes, int, float, complex, bool, type(None)})
"""Types of results whose parts are looked up by Python alone."""


class LookUp:
    """Takes one part from a result, once.

    Args:
        part: the element or attribute.
        task: title of the task, for messages.
        on_found: called with the part.
        on_failed: called with the exception of the look-up.
    """

    def __init__(
        self,
        part: Part,
        task: str,
        on_found: Callable[[Any], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        self._part = part
        self._task = task
        self._on_found = on_found
        self._on_failed = on_failed

    def start(self, result: Any, threads: CallbackThreads | None) -> None:  # noqa: ANN401 - any user's value
        """Look the part up; in a thread apart where that waits, or calls the user's code, which may take long."""
        is_away = type(result) is KeptResult and not result.is_here()
        if threads is None or type(result) in _PLAIN or not (is_away or is_driver_thread()):
            self._run(result)
        else:
            threads.run(lambda: self._run(result))

    def _run(self, result: Any) -> None:  # noqa: ANN401 - any user's value
        try:
            result = result.value() if type(result) is KeptResult else result
            part = self._part.take_from(result)
        except BaseException as error:  # noqa: BLE001 - a user's type; its exception becomes the future's
            add_result_type(error, result, self._task)
            self._on_failed(error)
        else:
            self._on_found(part)

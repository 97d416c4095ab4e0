"""Models that all managers are to load before the first task of them. No I/O.

::

    on_prepare: in place of those before ──> SendPrepare to each manager
    a manager registers, or registers again ──> SendPrepare to it, if there are any
    Prepared of a manager ──> ReportPrepared, behind the report of the manager itself
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.interchange.actions import SendPrepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnflow.ids import ManagerId
    from cnflow.wire.function_messages import Function


class PreparedModels:
    """The models, each after the records of its modules."""

    def __init__(self) -> None:
        self._functions: list[Function] = []

    def replace(self, functions: Sequence[Function], managers: Iterable[ManagerId]) -> list[SendPrepare]:
        """Have *managers*, all that are registered, load *functions* and no others; they report what they have."""
        self._functions = list(functions)
        return [SendPrepare(manager, self._functions) for manager in managers]

    def on_registered(self, manager: ManagerId) -> list[SendPrepare]:
        """Have *manager* load them; it may have done so for an interchange before, and reports that again."""
        return [SendPrepare(manager, self._functions)] if self._functions else []

"""``future["key"]`` and ``future.name``: what may be asked of a result before it is there; pure.

Asking makes no task and waits for nothing; what comes of it is `cnflow.dataflow.futures.app_future.LiftedFuture`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_AS_NEAR_AS = 0.75
"""Share of letters from which a name counts as misspelt (`difflib.SequenceMatcher.ratio`): ``reslt`` is like
``result``, ``real`` is not."""

_LOOKUPS = (AttributeError, KeyError, IndexError, TypeError)


class Asked(NamedTuple):
    """One element or attribute."""

    key: Any
    is_attribute: bool

    def of(self, result: Any) -> Any:  # noqa: ANN401 - any user's value
        """It, taken from *result*; raises whatever that does."""
        return getattr(result, self.key) if self.is_attribute else result[self.key]

    def __str__(self) -> str:
        return f".{self.key}" if self.is_attribute else f"[{self.key!r}]"


def refuse_attribute(name: str, own: Iterable[str]) -> None:
    """See that *name* can be an attribute of a result, and is none that the future was to have.

    Names that begin with an underscore are Python's and libraries' own questions. One near to those in *own*, which the
    future has, is taken for misspelt.

    Raises:
        AttributeError: it cannot; says what was meant.
    """
    if name.startswith("_"):
        raise AttributeError(f"An AppFuture has no attribute {name!r}.")
    near = difflib.get_close_matches(name, list(own), n=1, cutoff=_AS_NEAR_AS)
    if near:
        raise AttributeError(
            f"An AppFuture has no attribute {name!r}. Did you mean {near[0]!r}? To use {name!r} of the task's result, "
            "pass the future to an app, or call result() first.",
        )


def explain(error: BaseException, result: object, task: str) -> None:
    """Have *error*, which *result* of *task* raised when it was asked, name them; a user's own class says enough."""
    if type(error) in _LOOKUPS:
        error.args = (f"{error} (the result of {task} is of type {type(result).__name__})",)

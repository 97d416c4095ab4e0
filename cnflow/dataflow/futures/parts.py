"""``future["key"]`` and ``future.name``: parts of results, named before the results are there. No I/O.

Naming a part makes no task and waits for nothing; `cnflow.dataflow.futures.app_future.LiftedFuture` stands for it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_MISSPELT_FROM = 0.75
"""Share of equal letters from which a name counts as misspelt (`difflib.SequenceMatcher.ratio`): ``reslt`` is near
``result``, ``real`` is not."""

_LOOKUP_ERRORS = (AttributeError, KeyError, IndexError, TypeError)


class Part(NamedTuple):
    """One element or attribute of a result."""

    key: Any
    is_attribute: bool

    def take_from(self, result: Any) -> Any:  # noqa: ANN401 - any user's value
        """Return the part of *result*; raise what the look-up raises."""
        return getattr(result, self.key) if self.is_attribute else result[self.key]

    def __str__(self) -> str:
        return f".{self.key}" if self.is_attribute else f"[{self.key!r}]"


def refuse_attribute(name: str, own: Iterable[str]) -> None:
    """Check that *name* can be an attribute of a result rather than a misspelt one of the future.

    Args:
        name: one that the future does not have. Names that begin with an underscore are those by which Python and
            libraries probe objects.
        own: public attributes of the future.

    Raises:
        AttributeError: *name* begins with an underscore, or is near to one of *own*, which the message offers.
    """
    if name.startswith("_"):
        raise AttributeError(f"An AppFuture has no attribute {name!r}.")
    near = difflib.get_close_matches(name, list(own), n=1, cutoff=_MISSPELT_FROM)
    if near:
        raise AttributeError(
            f"An AppFuture has no attribute {name!r}. Did you mean {near[0]!r}? To use {name!r} of the task's result, "
            "pass the future to an app, or call result() first.",
        )


def add_result_type(error: BaseException, result: object, task: str) -> None:
    """Add to the message of *error*, raised by a look-up in *result*, the title of *task* and the result's type.

    Errors of a user's own classes stay as they are: their arguments may mean anything.
    """
    if type(error) in _LOOKUP_ERRORS:
        error.args = (f"{error} (the result of {task} is of type {type(result).__name__})",)

"""Weights that a model's versions are to have, and what has become of that. No I/O."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from cnflow.serving.service import ServingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.serving.versions import Version


class PlanState(enum.Enum):
    """State of a plan."""

    PENDING = "pending"
    MOVED = "moved"
    FAILED = "failed"
    REPLACED = "replaced"


class Plan:
    """Weights that are to be, once their versions can answer; whoever has ordered them may wait for their state.

    Attributes:
        weights: by version; others get none.
        retires: versions that lose their share are forgotten some time later.
        is_back: they are weights of before.
        state: PENDING until calls have moved, a version has failed, or another plan or its withdrawal came first.
        failed: version that has failed.
    """

    __slots__ = ("failed", "is_back", "retires", "state", "weights")

    def __init__(self, weights: Mapping[Version, float], *, retires: bool, is_back: bool = False) -> None:
        self.weights = weights
        self.retires = retires
        self.is_back = is_back
        self.state = PlanState.PENDING
        self.failed: Version | None = None

    def fail(self, version: Version) -> None:
        """Record that *version* has failed, and the plan with it."""
        self.state, self.failed = PlanState.FAILED, version

    def refusal(self, model: str) -> ServingError | None:
        """Error for whoever has ordered it for *model*, if its calls did not move and never will; else None."""
        if self.failed is not None:
            return roll_failed(model, self.failed)
        if self.state is PlanState.REPLACED:
            words = (
                f"Calls of model {model!r} were not moved: another change came before the versions of this one could "
                "answer. `cnflow serve status` shows where calls go now."
            )
            return ServingError(words, 409, "change_replaced")
        return None


def roll_failed(model: str, version: Version) -> ServingError:
    """Error of a change whose *version* has failed."""
    words = f"Calls of model {model!r} stay where they are: version {version.name!r} cannot be loaded: {version.reason}"
    return ServingError(words, 409, "version_failed")

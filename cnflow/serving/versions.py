"""Versions of a model, as its router has them, and what the router wants done. No I/O."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREVER = float("inf")


class VersionState(enum.Enum):
    """State of a version, as `cnflow.serving.service.VersionStatus` has it."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"
    ASLEEP = "asleep"


_USABLE = frozenset({VersionState.READY, VersionState.ASLEEP})


class Version:
    """One version of a model, in the hands of its router.

    Attributes:
        name: unique within the model.
        source: what it is made of; not looked at here.
        weight: share of the calls that name no version.
        shadow: share of the calls of which it gets a copy.
        state: state.
        reason: why it is not ready; empty if it is.
        digest: of its image, without ``sha256:``; empty where it is not known.
        in_flight: calls that it has not answered.
        ready_since: time at which it became ready last.
        keep_until: time until which it stays loaded without a share; `FOREVER` if that has no end.
    """

    __slots__ = (
        "aliases", "credit", "digest", "in_flight", "keep_until", "name", "ready_since", "reason", "shadow",
        "shadow_credit", "source", "state", "weight",
    )  # fmt: skip

    def __init__(self, name: str, source: Any = None, *, weight: float = 0.0, shadow: float = 0.0) -> None:  # noqa: ANN401 - the caller's
        self.name = name
        self.source = source
        self.weight = weight
        self.shadow = shadow
        self.state = VersionState.LOADING
        self.reason = ""
        self.digest = ""
        self.aliases: tuple[str, ...] = ()
        self.in_flight = 0
        self.ready_since = 0.0
        self.keep_until = FOREVER
        self.credit = 0.0
        self.shadow_credit = 0.0

    @property
    def is_usable(self) -> bool:
        """It can answer calls, perhaps after it was woken."""
        return self.state in _USABLE

    def __repr__(self) -> str:
        return f"<Version {self.name} {self.state.value} weight={self.weight:g} in_flight={self.in_flight}>"


class Load(NamedTuple):
    """Have the version loaded, and call `Router.on_loaded` or `Router.on_failed`."""

    version: Version


class Unload(NamedTuple):
    """Nothing needs the version any more."""

    version: Version


class Moved(NamedTuple):
    """Calls go by other weights from now on."""

    weights: Mapping[str, float]


class Refused(NamedTuple):
    """Calls stay where they are: a version that they should go to has failed."""

    version: Version


Action = Load | Unload | Moved | Refused

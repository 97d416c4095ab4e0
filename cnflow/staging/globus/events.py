"""What the machine of transfers receives and returns: copies, states of transfers, and actions. Values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cnflow.tasks.staging.steps import IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.staging.globus.paths import Place


class Copy(NamedTuple):
    """One file or folder to be copied."""

    number: int
    source: Place
    target: Place
    is_folder: bool = False
    sha256: str = ""
    """Digest that Globus compares with that of the copy; empty for none."""

    step: str = IN
    """Step of the task's staging."""

    retries: int = 0
    """Further transfers after one that has failed, unless another would fail in the same way."""


class Status(NamedTuple):
    """State of a transfer, as Globus describes it."""

    state: str
    """ACTIVE, INACTIVE, SUCCEEDED or FAILED."""

    is_ok: bool = True
    """False while Globus meets an error that it may get over."""

    error: str = ""
    """The newest error event, or the fatal error."""

    files: int = 0
    size: int = 0
    """Bytes that were transferred."""

    skipped: Mapping[str, str] = {}
    """Error by path of the source, of what Globus left out."""

    copied: frozenset[str] = frozenset()
    """Paths of the sources that a failed transfer did copy."""


class Problem(NamedTuple):
    """Reason why a call of Globus failed."""

    words: str
    is_passing: bool
    """True if the same call may succeed later."""


class Submit(NamedTuple):
    """Submit a transfer of these copies, which have the same two collections."""

    batch: int
    copies: tuple[Copy, ...]


class Poll(NamedTuple):
    """Ask for the state of a transfer."""

    batch: int


class Cancel(NamedTuple):
    """Cancel a transfer."""

    batch: int


class Done(NamedTuple):
    """A copy is where it should be."""

    copy: int


class Failed(NamedTuple):
    """A copy will not be made."""

    copy: int
    words: str


class Warn(NamedTuple):
    """Log a line: a transfer does not get on."""

    words: str


Action: TypeAlias = Submit | Poll | Cancel | Done | Failed | Warn

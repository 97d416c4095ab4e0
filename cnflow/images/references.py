"""Names of images and their parts, by the rules of all engines. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HUB = ("docker.io/library/", "docker.io/")


def registry_of(image: str) -> str:
    """Host of the registry of *image*, by the rule of all engines: a first part with a dot or a port, or localhost."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def with_tag(image: str) -> str:
    """Return *image* with its tag, which is ``latest`` where it names neither tag nor digest."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def registry_digest(reference: str, digests: Sequence[str]) -> str:
    """Return the one of *digests*, such as ``repository@sha256:...``, that *reference* was or may be pulled from.

    An image that was tagged or pushed under several names has one for each; that of the reference's repository is the
    one to pull it by. Without such a one it is any, always the same.
    """
    own = _repository(reference)
    fitting = [digest for digest in digests if _repository(digest) == own]
    return min(fitting or digests, default="")


def _repository(reference: str) -> str:
    """Return the repository of a reference, without the host that is meant where none is named."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    repository = f"{head}{slash}{last.partition(':')[0]}"
    return next((repository[len(hub) :] for hub in _HUB if repository.startswith(hub)), repository)

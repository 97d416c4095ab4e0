"""Names and describes the content of an image, from what its engine and its probe tell. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.model.image_identity import ImageFacts
from cnflow.model.packages import digest_of_packages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.capsule import Probe

_HUB = ("docker.io/library/", "docker.io/")


def facts_of(reference: str, attributes: Mapping[str, Any], probe: Probe, packages: Mapping[str, str]) -> ImageFacts:
    """Return what is known of an image.

    Args:
        reference: by which it was found.
        attributes: as ``docker image inspect`` has them.
        probe: of its Python; one that is carried there is not of the image.
        packages: versions of that Python's packages by their names.
    """
    parts = (attributes.get("Os"), attributes.get("Architecture"), attributes.get("Variant"))
    return ImageFacts(
        registry_digest(reference, attributes.get("RepoDigests") or ()),
        "/".join(str(part) for part in parts if part),
        probe.version,
        digest_of_packages(packages),
    )


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

"""Names and describes the content of an image, from what its engine and its probe tell. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.images.references import registry_digest
from cnflow.model.image_identity import ImageFacts
from cnflow.model.packages import digest_of_packages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.capsule import Probe


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

"""Container images of virtual machines: which can be run there, and what they are in their registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import BlockRejectedError
from cnflow.model.image_identity import ImageFacts, ImageIdentity
from cnflow.sites.registry_lookup import get_here, look_up

if TYPE_CHECKING:
    from cnflow.model.image import Image

_PLATFORM = "linux/amd64"


def refuse_unfit(image: Image) -> None:
    """Refuse an image that a new machine cannot pull.

    Raises:
        BlockRejectedError: it is no name in a registry.
    """
    if image.recipe is not None:
        raise BlockRejectedError(
            f"Image {str(image)!r} has a recipe, and machines of a cloud build no images. Build it and push it by "
            "`cnflow image build --push`, and name it in the registry."
        )
    if image.reference.endswith((".sif", ".tar")) or image.reference.startswith(("/", "./", "~")):
        raise BlockRejectedError(
            f"Image {str(image)!r} is a file of this machine, and machines of a cloud pull images from a registry. "
            "Push it, and name it there."
        )


def identity_of(image: Image) -> ImageIdentity:
    """Return what *image* is in its registry; its name where this machine does not reach that."""
    if not image:
        return ImageIdentity("")
    platform = image.platform or _PLATFORM
    login = None
    if image.credentials is not None:
        login = (image.credentials.user, image.credentials.password.read("password"))
    found = look_up(image.reference, platform.rpartition("/")[2], login, get_here)
    if found is None:
        return ImageIdentity(image.reference, ImageFacts(platform=platform))
    return ImageIdentity(found.id, ImageFacts(digest=found.reference, platform=platform))

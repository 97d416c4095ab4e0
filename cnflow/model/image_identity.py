"""What a reference to an image stands for in one system, once it was looked up. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Self

_BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


class ImageFacts(NamedTuple):
    """What is known of an image, besides its id. What is not known is empty."""

    digest: str = ""
    """``REPOSITORY@sha256:...`` by which a registry has it; empty for one that was built and never pushed."""

    platform: str = ""
    """Such as ``linux/amd64``."""

    python: str = ""
    """Version of the Python that workers run on, such as ``3.11.2``."""

    packages: str = ""
    """`cnflow.model.packages.digest_of_packages` of that Python's packages."""


NO_FACTS = ImageFacts()


class ImageIdentity(str):
    """Id of an image in its system, which stands for its content; a text, with what else is known of it."""

    __slots__ = ("facts",)

    facts: ImageFacts

    def __new__(cls, identity: str, facts: ImageFacts = NO_FACTS) -> Self:
        """Make the id; an `ImageIdentity` keeps what is known of it."""
        made = super().__new__(cls, identity)
        made.facts = getattr(identity, "facts", facts)
        return made

    def is_same_image(self, identity: str, digest: str) -> bool:
        """Return whether this is the image of that id, or of that digest in a registry; empty ones count as others."""
        same_digest = bool(digest) and digest.rpartition("@")[2] == self.facts.digest.rpartition("@")[2]
        return (bool(identity) and identity == self) or same_digest


def is_by_digest(reference: str) -> bool:
    """Return whether a *reference* names content, which no tag can move."""
    return _BY_DIGEST.fullmatch(reference) is not None

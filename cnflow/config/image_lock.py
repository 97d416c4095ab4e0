"""``cnflow.lock``: the images of a project by their content, as a file that people read and keep under version control.

::

    cnflow lock ──> ImageIdentity of each image ──> LockedImage ──> ImageLock ──to_toml──> cnflow.lock
    a run ──parse──> ImageLock.find ──> says that a tag has moved; or, with Config(locked=True), runs what is locked

The file is TOML, sorted, one table for each reference and platform, so that a change is a change of few lines.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cnflow.config.dump import table_as_toml
from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.model.image_identity import ImageIdentity

VERSION = 1
"""Of the file's layout."""

_HEADER = "# Images by their content. Written by `cnflow lock`; keep it under version control, and do not edit it.\n"


@dataclasses.dataclass(frozen=True)
class LockedImage:
    """An image as it was when it was locked."""

    reference: str
    """As the user wrote it."""

    id: str
    """In its engine."""

    digest: str = ""
    """``REPOSITORY@sha256:...``; empty for an image that was built and never pushed."""

    platform: str = ""
    python: str = ""
    packages: str = ""
    """`cnflow.model.packages.digest_of_packages` of its Python."""

    locked: str = ""
    """Moment of the lock, such as ``2026-01-31T12:00:00Z``."""

    @classmethod
    def of(cls, reference: str, identity: ImageIdentity, locked: str) -> LockedImage:
        """Return the entry for *reference*, which is *identity* now."""
        return cls(reference, str(identity), *identity.facts, locked)

    def is_image(self, identity: ImageIdentity) -> bool:
        """Return whether *identity* is this image."""
        return identity.is_same_image(self.id, self.digest)

    @property
    def name(self) -> str:
        """Digest in a registry, else the id: what to call its content in a message."""
        return self.digest or self.id


_FIELDS = tuple(field.name for field in dataclasses.fields(LockedImage))


class ImageLock:
    """Locked images, in the order of their references.

    Args:
        images: of which the last for a reference and a platform counts.
    """

    def __init__(self, images: Iterable[LockedImage] = ()) -> None:
        by_key = {(image.reference, image.platform): image for image in images}
        self.images = tuple(by_key[key] for key in sorted(by_key))

    def find(self, reference: str, platform: str = "") -> LockedImage | None:
        """Return the entry for *reference*; of several that for *platform*, which may be as short as ``arm64``."""
        found = [image for image in self.images if image.reference == reference]
        if platform:
            found = [image for image in found if f"/{platform}/" in f"/{image.platform}/"] or found[:1]
        return found[0] if found else None

    @property
    def references(self) -> list[str]:
        """References, each once."""
        return list(dict.fromkeys(image.reference for image in self.images))

    def to_toml(self) -> str:
        """Return the text of the file."""
        tables = [{name: value for name, value in dataclasses.asdict(image).items() if value} for image in self.images]
        return f"{_HEADER}{table_as_toml({'version': VERSION, 'images': tables})}\n"


def parse_lock(text: str) -> ImageLock:
    """Return the images in *text*, the content of a lock file.

    Raises:
        ConfigurationError: it is no lock file, or one of a later version of cnflow.
    """
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        table: Mapping[str, Any] = toml.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"it is no TOML: {error}") from error
    if table.get("version") != VERSION:
        raise ConfigurationError(
            f"its version is {table.get('version')!r}, and this cnflow reads {VERSION}. Write it anew by cnflow lock."
        )
    images = table.get("images", [])
    if not isinstance(images, list):
        raise ConfigurationError("images must be tables: [[images]].")
    return ImageLock(_image_of(each, number) for number, each in enumerate(images))


def _image_of(table: object, number: int) -> LockedImage:
    if not isinstance(table, Mapping) or not all(isinstance(value, str) for value in table.values()):
        raise ConfigurationError(f"images[{number}] is no table of texts.")
    if not table.get("reference") or not (table.get("id") or table.get("digest")):
        raise ConfigurationError(f"images[{number}] needs a reference, and an id or a digest.")
    known = {name: table[name] for name in _FIELDS if name in table}
    return LockedImage(**{"id": "", **known})


def read_lock(file: Path) -> ImageLock | None:
    """Return the images in *file*; None if there is no such file.

    Raises:
        ConfigurationError: it cannot be read, or is no lock file; the message names it.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: it cannot be read: {error}.") from error
    try:
        return parse_lock(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error


def write_lock(file: Path, lock: ImageLock) -> None:
    """Write *lock* to *file*, whole or not at all.

    Raises:
        ConfigurationError: it cannot be written.
    """
    draft = file.with_name(f".{file.name}.new")
    try:
        draft.write_text(lock.to_toml(), encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file}: it cannot be written: {error.strerror or error}.") from error

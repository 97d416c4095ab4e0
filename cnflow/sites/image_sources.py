"""What the user's name of an image means: a file, an image of the driver's own engine, or one of a registry. No I/O.

::

    app:1                          the driver's own engine, if it has it, else the registry      (short for either)
    docker-daemon:app:1            the driver's own engine, and nothing else
    docker://host/app:1            the registry, by the site where it reaches it
    oras://host/app:1, library://  a SIF of a registry, which Apptainer pulls at the site
    images/app.sif, app.tar.gz     a SIF or a Docker archive of this machine; or, by an absolute path, of the site
    docker-archive:app.tar         a Docker archive, whatever it is called
    /scratch/images/app            a root file system at the site
    sha256:...                     what this run or a lock file has by its content
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

from cnflow.model.site_image import ImageForm


class SourceKind(enum.Enum):
    """Kind of what a name means."""

    NAME = "name"
    """Of the driver's own engine, or of a registry."""

    ENGINE = "engine"
    REGISTRY = "registry"
    """Of a registry that holds layers."""

    ARTIFACT = "artifact"
    """Of a registry that holds SIFs; only Apptainer and Singularity pull it."""

    FILE = "file"
    """SIF, Docker archive or folder; here or at the site."""

    CONTENT = "content"
    """Digest of what was brought before."""


class ImageSource(NamedTuple):
    """What a name means."""

    kind: SourceKind
    name: str
    """Without its scheme: a name in an engine or registry, a path, or a digest."""

    scheme: str = ""
    """Of an artifact, such as ``oras``."""

    form: ImageForm = ImageForm.NONE
    """Of a file, as its name tells; `ImageForm.NONE` is not known."""

    @property
    def url(self) -> str:
        """Name as Apptainer takes it."""
        return f"{self.scheme or 'docker'}://{self.name}"


_ARTIFACTS = ("oras", "library", "shub", "https", "http")
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_SIFS = (".sif", ".simg")
_PREFIXES = {
    "docker-archive": (SourceKind.FILE, ImageForm.ARCHIVE),
    "docker-daemon": (SourceKind.ENGINE, ImageForm.NONE),
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def parse_source(reference: str) -> ImageSource:
    """What *reference* means."""
    scheme, separator, rest = reference.partition("://")
    if separator and scheme in ("docker", *_ARTIFACTS):
        return ImageSource(SourceKind.REGISTRY, rest) if scheme == "docker" else _artifact(scheme, rest)
    prefix, _, path = reference.partition(":")
    if prefix in _PREFIXES and path:
        kind, form = _PREFIXES[prefix]
        return ImageSource(kind, path, form=form)
    if _DIGEST.fullmatch(reference):
        return ImageSource(SourceKind.CONTENT, reference)
    form = _form_of(reference)
    if form is not ImageForm.NONE or reference.startswith(("/", "./", "../", "~", "$")):
        return ImageSource(SourceKind.FILE, reference, form=form)
    return ImageSource(SourceKind.NAME, reference)


def _artifact(scheme: str, name: str) -> ImageSource:
    return ImageSource(SourceKind.ARTIFACT, name, scheme)


def _form_of(path: str) -> ImageForm:
    if path.endswith(_SIFS):
        return ImageForm.SIF
    return ImageForm.ARCHIVE if path.endswith(_ARCHIVES) else ImageForm.NONE


def file_name(content: str, form: ImageForm) -> str:
    """Name in the cache of a site of the image whose content is *content*, a digest, in the form *form*."""
    suffix = {ImageForm.SIF: ".sif", ImageForm.ARCHIVE: ".tar"}.get(form, "")
    return f"{content.rpartition(':')[2]}{suffix}"

"""Choice of the staging that moves a file. No I/O."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.staging.built_in import BuiltInStaging
from cnflow.staging.file import NoOpFileStaging
from cnflow.staging.image_file import ImageFileStaging
from cnflow.staging.servers import FTPSeparateTaskStaging, HTTPSeparateTaskStaging
from cnflow.staging.stores import FsspecStaging, advice_on_scheme
from cnflow.staging.zip import ZipFileStaging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.interfaces.staging import Staging
    from cnflow.model.file import File

BUILT_IN = BuiltInStaging()
"""For temporary files, and for paths that tasks do not see, whatever ``storage_access`` says."""

default_staging: list[Staging] = [
    NoOpFileStaging(),
    FTPSeparateTaskStaging(),
    HTTPSeparateTaskStaging(),
    ZipFileStaging(),
    ImageFileStaging(),
    FsspecStaging(),
]
"""Stagings of an executor without ``storage_access``."""


class Direction(enum.Enum):
    """Direction in which a file is moved."""

    IN = "in"
    OUT = "out"


def staging_for(file: File, storage_access: Sequence[Staging] | None, direction: Direction) -> Staging:
    """The first of *storage_access* that can move *file*; None stands for `default_staging`.

    Raises:
        UnknownNameError: none of them knows the file's scheme.
        ConfigurationError: one knows the scheme, but none can move this file.
    """
    stagings = default_staging if storage_access is None else storage_access
    if file.scheme == "temp":
        stagings = (*stagings, BUILT_IN)
    for staging in stagings:
        if staging.can_stage_in(file) if direction is Direction.IN else staging.can_stage_out(file):
            return staging
    known = {scheme for staging in stagings for scheme in staging.schemes}
    if file.scheme not in known:
        what, advice = f"scheme of files that can be staged {direction.value}", advice_on_scheme(file.scheme, known)
        raise UnknownNameError(what, file.scheme, known, advice=advice)
    raise ConfigurationError(
        f"{file.url} cannot be staged {direction.value} by any of {', '.join(map(repr, stagings))}.{_advice(file)}"
    )


def _advice(file: File) -> str:
    """Advice on ``file://data/x.txt``, in most cases meant as a relative path; it would be read as ``/x.txt``."""
    if file.scheme != "file":
        return ""
    return (
        f" {file.netloc!r}, between // and the next /, is taken for a host: write file:///path for an absolute path, "
        "and a relative path without a scheme."
    )

"""Which staging moves a file; pure."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.staging.downloads import FTPSeparateTaskStaging, HTTPSeparateTaskStaging
from cnflow.staging.file import NoOpFileStaging
from cnflow.staging.zip import ZipFileStaging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.interfaces.staging import Staging
    from cnflow.model.file import File

default_staging: list[Staging] = [
    NoOpFileStaging(),
    FTPSeparateTaskStaging(),
    HTTPSeparateTaskStaging(),
    ZipFileStaging(),
]
"""What an executor without ``storage_access`` uses."""


class Direction(enum.Enum):
    """Which way a file goes."""

    IN = "in"
    OUT = "out"


def staging_for(file: File, storage_access: Sequence[Staging] | None, direction: Direction) -> Staging:
    """The first of *storage_access* that can move *file*; None stands for `default_staging`.

    Raises:
        UnknownNameError: none of them knows the file's scheme.
        ConfigurationError: one knows the scheme, but none can move this file; says why where that is known.
    """
    stagings = default_staging if storage_access is None else storage_access
    for staging in stagings:
        if staging.can_stage_in(file) if direction is Direction.IN else staging.can_stage_out(file):
            return staging
    known = {scheme for staging in stagings for scheme in staging.schemes}
    if file.scheme not in known:
        raise UnknownNameError(f"scheme of files that can be staged {direction.value}", file.scheme, known)
    raise ConfigurationError(
        f"{file.url} cannot be staged {direction.value} by any of {', '.join(map(repr, stagings))}.{_advice(file)}"
    )


def _advice(file: File) -> str:
    """``file://data/x.txt`` is in most cases meant as a relative path; it would silently be read as ``/x.txt``."""
    if file.scheme != "file":
        return ""
    return (
        f" Between // and the next / stands a host, here {file.netloc!r}: write file:///path for an absolute path, and "
        "a relative one without a scheme."
    )

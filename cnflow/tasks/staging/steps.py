"""Steps of a task's staging: each names its file in the errors that it raises."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cnflow.errors import StagingError
from cnflow.text import mask_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.model.file import File

IN = "stage in"
OUT = "stage out"


@contextlib.contextmanager
def staging_step(step: str, file: File) -> Iterator[None]:
    """Return a context whose StagingErrors have the *step* and its *file*; an OSError of the disk becomes one.

    Raises:
        StagingError: the body's, or one that names what the disk of this machine reports.
    """
    try:
        yield
    except StagingError as error:
        error.url = error.url or mask_url(file.url)
        error.file = error.file or file.local_path or ""
        error.step = error.step or step
        raise
    except OSError as error:
        words = f"{file.url} ({step}): {error.strerror or error}, at {error.filename or file.local_path}"
        raise StagingError(words, url=file.url, file=file.local_path or "", step=step) from error

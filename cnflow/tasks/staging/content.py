"""Compares a copy with what the user says of its file: size, and SHA-256."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cnflow.errors import StagingError

if TYPE_CHECKING:
    from cnflow.model.file import File

_PART = 1024 * 1024


def check_content(path: str, file: File, subject: str) -> None:
    """Remove the copy of *file* at *path* if it is none of what the user expects.

    Raises:
        StagingError: begins with *subject*; the copy is gone.
    """
    reason = mismatch(path, file)
    if reason:
        os.unlink(path)
        raise StagingError(f"{subject}: {reason}.", is_final=True)


def mismatch(path: str, file: File) -> str:
    """Return words on how the content at *path* differs from what the user says of *file*; empty where it does not."""
    if file.size is not None and file.size != (found := os.path.getsize(path)):
        return f"it has {found:,} bytes, and its File says {file.size:,}"
    if file.sha256 is not None and file.sha256 != (digest := _sha256(path)):
        return f"its SHA-256 is {digest}, and its File says {file.sha256}"
    return ""


def _sha256(path: str) -> str:
    import hashlib

    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            data = file.read(_PART)
            if not data:
                return hashed.hexdigest()
            hashed.update(data)

"""Names the cause of an engine's refusal, or of the end of an image's Python, and what to do. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import BlockRejectedError

if TYPE_CHECKING:
    from collections.abc import Sequence


def with_advice(refusal: BlockRejectedError, mounted: Sequence[str]) -> BlockRejectedError:
    """Return the refusal of a container, with advice if it is about one of the *mounted* folders of the script."""
    words = str(refusal)
    if not any(folder in words for folder in mounted):
        return refusal
    return BlockRejectedError(
        f"{words}\nThe folders of the script and of its run are mounted into containers at their own paths. If the "
        "engine does not see them, as where the script runs in a container itself, set "
        "DockerProvider(mount_folders=False), and mount what tasks need by mounts=."
    )

"""The command that a provider runs on each node of a block, and what must be there for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class NodeCommand:
    """One command line with its surroundings; a value, so that launchers and runtimes wrap it without I/O."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables added to those of the node."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    """Absolute path on the node -> content. Hold keys: each must be readable by the command's user alone (0600)."""

    mounts: Mapping[str, str] = field(default_factory=dict)
    """Path on the provider's machine -> path in the container, which may end in ``:ro``.

    Part of the seam for coming backends: the driver fills in none yet.
    """

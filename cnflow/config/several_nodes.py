"""Default of the launcher where a block has several nodes and the scheduler has no starter of its own."""

from __future__ import annotations

from typing import Any

from cnflow.config.launchers import MpiExecLauncher


def started_by_mpiexec(given: Any) -> Any:  # noqa: ANN401 - whatever the user passed
    """Options of a provider, with `MpiExecLauncher` for several nodes unless the user names a launcher."""
    if isinstance(given, dict) and "launcher" not in given and given.get("nodes_per_block", 1) != 1:
        return {**given, "launcher": MpiExecLauncher()}
    return given

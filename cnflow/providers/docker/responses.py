"""Reads a Docker engine's answers. No I/O, and no SDK is needed."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cnflow.model.block import BlockState, BlockStatus, EndCause

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

KILLED = 137
"""Exit code of a process that SIGKILL ended: by hand, or by the kernel for want of memory."""

_ABANDONED = 300.0

# https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerList; Podman has further
# ones: https://github.com/containers/podman/blob/v4.3.1/libpod/define/containerstate.go
STATES: Mapping[str, BlockState] = {
    "created": BlockState.PENDING,
    "initialized": BlockState.PENDING,
    "running": BlockState.RUNNING,
    "paused": BlockState.RUNNING,
    "restarting": BlockState.RUNNING,
    "stopping": BlockState.RUNNING,
    "removing": BlockState.ENDED,
    "stopped": BlockState.ENDED,
    "exited": BlockState.ENDED,
    "dead": BlockState.FAILED,
}


def status_of_listed(state: str, words: str) -> BlockStatus:
    """Return the status of a container that the engine still lists.

    Args:
        state: one of `STATES`.
        words: the engine's own, such as ``Exited (1) 3 seconds ago``.
    """
    known = STATES.get(state, BlockState.UNKNOWN)
    exited = re.match(r"Exited \((\d+)\)", words)
    code = int(exited[1]) if exited else None
    if known is BlockState.ENDED and code:
        known = BlockState.FAILED
    is_failed = known is BlockState.FAILED
    return BlockStatus(known, words if is_failed else "", EndCause.OTHER if is_failed else None, code)


def cause_of(exit_code: int, *, has_memory_limit: bool) -> EndCause | None:
    """Return `EndCause.OOM` for a container killed under a memory limit; None where the code alone decides.

    The engine removes a container as soon as it ends, and with it ``State.OOMKilled``.
    """
    return EndCause.OOM if exit_code == KILLED and has_memory_limit else None


def find_abandoned(created: Collection[Mapping[str, Any]], now: float) -> list[str]:
    """Return the ids of containers that no driver can be about to start any more.

    Args:
        created: containers that were created and not started, as listed by the engine.
        now: the engine's own time, which need not be this machine's; seconds since 1970.
    """
    return [str(one["Id"]) for one in created if now - float(one["Created"]) >= _ABANDONED]


def seconds_of(time: str) -> float:
    """Return the seconds since 1970 of an engine's time (RFC 3339, which Python reads from 3.11 on), rounded down."""
    return datetime.fromisoformat(re.sub(r"\.\d+", "", time).replace("Z", "+00:00")).timestamp()

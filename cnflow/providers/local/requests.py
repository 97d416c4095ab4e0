"""Makes the command lines of local blocks, from values alone: starts no process and writes no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import BlockRejectedError
from cnflow.ids import BlockId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.config import LocalProvider
    from cnflow.ids import RunId
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image


def refuse_unfit(image: Image) -> None:
    """Refuse what no process on this machine can be.

    Raises:
        BlockRejectedError: an image is asked for.
    """
    if image:
        raise BlockRejectedError(
            f"LocalProvider starts processes on this machine and cannot run image {str(image)!r}. Use DockerProvider, "
            f"or Config(ignore_images=True) to run every app on the bare node.",
        )


def block_argv(settings: LocalProvider, argv: Sequence[str], nodes: int) -> list[str]:
    """Return the arguments of a block's first process: *argv* on each of *nodes* nodes, after ``worker_init``.

    Raises:
        ConfigurationError: the launcher cannot start so many.
    """
    return in_shell(settings.worker_init, settings.launcher.wrap(argv, nodes))


def in_shell(commands: str, argv: Sequence[str]) -> list[str]:
    """Return *argv* as the last command of a shell that runs *commands* first; *argv* itself if there are none.

    Bash, since users' commands are written for it. A command that fails does not keep *argv* from starting, as in a
    script without ``set -e``; its message is in the block's log.
    """
    if not commands.strip():
        return list(argv)
    return ["bash", "-c", f'{commands}\nexec "$@"', "bash", *argv]


def mark_of(request: BlockRequest) -> str:
    """Return the value of `process_sessions.MARK` in the environment of all processes of a block."""
    return f"{mark_prefix(request.run, request.executor)}{request.block}"


def mark_prefix(run: RunId, executor: str) -> str:
    """Return the start of the marks of all blocks of one executor."""
    return f"{run}/{executor}/"


def block_of(mark: str) -> BlockId:
    """Return the block that a mark stands for."""
    return BlockId(mark.rpartition("/")[2])

"""Command lines that run in a shell which the user has prepared; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def after(commands: str, argv: Sequence[str]) -> list[str]:
    """*argv*, started by the shell that ran *commands* before and in its place; *argv* itself without any.

    Bash, since users' commands are written for it. A command that fails does not keep *argv* from starting, as in a
    script without ``set -e``; its message is in the block's log.
    """
    if not commands.strip():
        return list(argv)
    return ["bash", "-c", f'{commands}\nexec "$@"', "bash", *argv]

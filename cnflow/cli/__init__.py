"""The `cnflow` command: one file per command, put together in `cnflow.cli.app`.

A command's module imports little. What is slow to import (pydantic, rich, an SDK) is imported where the command runs,
so that ``cnflow --version`` answers at once.
"""

from __future__ import annotations

import sys

from cnflow.errors import CnflowError

__all__ = ["main"]

USAGE_ERROR = 2
"""Exit code of a command that was told something wrong, as in every Unix tool."""


def main() -> None:
    """Run the command that ``sys.argv`` names and exit with its code.

    An error of cnflow's own becomes its message on stderr and exit code 2, without a traceback; any other exception is
    a bug of ours and keeps its traceback. What a user's script raises does not come here: see `cnflow.cli.script`.
    """
    from cnflow.cli.app import app  # noqa: PLC0415 - typer is imported by who starts the command, not by who asks for main

    try:
        app(prog_name="cnflow")
    except CnflowError as error:
        _tell(str(error))
        sys.exit(USAGE_ERROR)


def _tell(message: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a failure needs it

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(message, style="red", markup=False)

"""The `cnflow` command: one module per command, registered in `cnflow.cli.app`.

Modules of commands import little. Packages that are slow to import (pydantic, rich, an SDK) are imported when the
command runs, so that ``cnflow --version`` answers at once.
"""

from __future__ import annotations

import sys

from cnflow.errors import CnflowError

__all__ = ["main"]

USAGE_ERROR = 2
"""Exit code for wrong arguments, as in every Unix tool."""


def main() -> None:
    """Run the command that ``sys.argv`` names and exit with its code.

    A `CnflowError` is printed on stderr without a traceback, with exit code 2; any other exception is a bug of cnflow
    and keeps its traceback. Exceptions of a user's script are handled by `cnflow.cli.script`.
    """
    from cnflow.cli.app import app

    try:
        app(prog_name="cnflow")
    except CnflowError as error:
        _print_error(str(error))
        sys.exit(USAGE_ERROR)


def _print_error(message: str) -> None:
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(message, style="red", markup=False)

"""``cnflow clean``: cancels what a run has left whose driver is gone."""

from pathlib import Path
from typing import Annotated

import typer


def clean(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of the run, such as runinfo/007.")],
) -> None:
    """Cancel the blocks that a run has left whose driver was killed, or could not confirm their end.

    The exit code is 0 if nothing is left, and 1 if the end of a block was not confirmed: run it again then.
    """
    from cnflow.cli.leftovers import remove_leftovers

    is_clean = True
    for label, line, is_done in remove_leftovers(run):
        typer.echo(f"executor {label}: {line}")
        is_clean = is_clean and is_done
    raise typer.Exit(0 if is_clean else 1)

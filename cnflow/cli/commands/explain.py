"""``cnflow explain``: why a task of a run that goes on has no result yet."""

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[
    Path,
    typer.Option(
        "--run", metavar="DIR", help="Folder of the run, or of runs, of which the newest that goes on counts."
    ),
]


def explain(
    task: Annotated[
        int, typer.Argument(metavar="TASK", help="Number of the task, as messages and logs tell it.", min=0)
    ],
    *,
    run: RunFolder = Path("runinfo"),
) -> None:
    """Say what a task waits for: another task, a worker, a block and what its provider says, a thread."""
    from cnflow.cli.control_client import asked  # noqa: PLC0415 - start-up stays fast

    for line in asked(run, {"ask": "explain", "task": task})["lines"]:
        typer.echo(line)

"""``cnflow explain``: shows why a task of a running run has no result yet."""

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[
    Path,
    typer.Option(
        "--run", metavar="DIR", help="Folder of the run, or a folder of runs, of which the newest running one is used."
    ),
]


def explain(
    task: Annotated[int, typer.Argument(metavar="TASK", help="Number of the task, as in messages and logs.", min=0)],
    *,
    run: RunFolder = Path("runinfo"),
) -> None:
    """Show what a task waits for: another task, a worker, a block with its provider's message, a thread."""
    from cnflow.cli.control_client import ask_run

    for line in ask_run(run, {"ask": "explain", "task": task})["lines"]:
        typer.echo(line)

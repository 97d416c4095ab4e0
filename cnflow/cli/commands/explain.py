"""``cnflow explain``: shows why a task of a running run has no result yet, or what the key of a cached app has."""

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
    task: Annotated[
        int | None,
        typer.Argument(metavar="TASK", help="Number of the task, as in messages and logs.", min=0, show_default=False),
    ] = None,
    *,
    run: RunFolder = Path("runinfo"),
    cache: Annotated[
        str,
        typer.Option(
            "--cache",
            metavar="SCRIPT[:APP]",
            help="Show what the cache keys of a script's or module's apps have, and what they cannot see, instead.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Show what a task waits for: another task, a worker, a block with its provider's message, a thread."""
    if cache:
        from cnflow.cli.cached_apps import explain_apps

        typer.echo("\n\n".join(explain_apps(cache)))
        return
    if task is None:
        raise typer.BadParameter("name a task, or an app after --cache", param_hint="TASK")
    from cnflow.cli.control_client import ask_run

    for line in ask_run(run, {"ask": "explain", "task": task})["lines"]:
        typer.echo(line)

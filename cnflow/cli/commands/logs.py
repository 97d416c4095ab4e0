"""``cnflow logs``: shows what a task or a block has printed, in a running run or one that has ended."""

from pathlib import Path
from typing import Annotated

import typer


def logs(
    what: Annotated[
        str,
        typer.Argument(
            metavar="TASK|BLOCK",
            help="Number of a task, or name of a log as listed without this argument, such as htex/0.",
            show_default=False,
        ),
    ] = "",
    *,
    run: Annotated[
        Path,
        typer.Option(
            "--run",
            metavar="DIR",
            help="Folder of the run, its number, or a folder of runs, of which the newest running one is used, or the "
            "newest.",
        ),
    ] = Path("runinfo"),
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the task, or the run, has ended.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", help="Show the last N lines only; 0 shows all.", min=0)
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each line as a JSON object, with the ids that it has.")
    ] = False,
) -> None:
    """Show what a task or a block has printed; without an argument, list the logs of the run."""
    from cnflow.cli.log_output import show_logs

    show_logs(what, run, follow=follow, last=lines, write=typer.echo, is_json=as_json)

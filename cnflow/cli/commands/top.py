"""``cnflow top``: shows a run on the terminal while it goes on."""

from typing import Annotated

import typer

from cnflow.cli.commands.tasks import DatabaseURL, RunName


def top(
    *,
    run: RunName = "runinfo",
    database: DatabaseURL = "",
    period: Annotated[
        float, typer.Option("--interval", "-d", metavar="SECONDS", help="Time between two looks.", min=0.1)
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print the state of now and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the state of now as JSON.")] = False,
) -> None:
    """Show a run live: tasks by state and app, throughput, blocks and causes of failures; q ends it."""
    from contextlib import closing

    import msgspec
    from rich.console import Console

    from cnflow.cli.output import as_json as format_json
    from cnflow.cli.runs.lookup import find_run
    from cnflow.cli.runs.source import RunSource
    from cnflow.cli.runs.top import show_live, show_once

    console = Console(highlight=False)
    with closing(RunSource(find_run(run, database))) as source:
        if as_json:
            typer.echo(format_json(msgspec.to_builtins(source.overview())))
        elif once or not console.is_terminal:
            show_once(source, console)
        else:
            show_live(source, console, period)

"""``cnflow task``: shows everything about one task of a run, live or past."""

from typing import Annotated

import typer

from cnflow.cli.commands.tasks import DatabaseURL, RunName


def task(
    number: Annotated[int, typer.Argument(metavar="TASK", help="Number of the task, as in messages and logs.", min=0)],
    *,
    run: RunName = "runinfo",
    database: DatabaseURL = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show one task: its tries with errors and what they used, its timeline, its files, and why it still waits."""
    from contextlib import closing

    from cnflow.cli.output import as_json as format_json
    from cnflow.cli.runs.lookup import find_run
    from cnflow.cli.runs.source import LiveTask, RunSource
    from cnflow.cli.runs.tables import live_task, recorded_task, task_as_json

    with closing(RunSource(find_run(run, database))) as source:
        detail, explanation = source.task(number)
    if as_json:
        typer.echo(format_json(task_as_json(detail, explanation)))
        return
    lines = live_task(detail, explanation) if isinstance(detail, LiveTask) else recorded_task(detail, explanation)
    typer.echo("\n".join(lines))

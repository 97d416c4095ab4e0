"""``cnflow tasks``: lists the tasks of a run, live or past."""

from typing import Annotated

import typer

RunName = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Folder of the run, its number, or a folder of runs, of which the newest running one is used, or the "
        "newest.",
    ),
]
DatabaseURL = Annotated[
    str,
    typer.Option(
        "--db",
        metavar="URL",
        help="Database of monitoring, where it is not monitoring.db in the folder of runs.",
        show_default=False,
    ),
]


def tasks(  # noqa: PLR0913 - options of a command
    *,
    run: RunName = "runinfo",
    database: DatabaseURL = "",
    state: Annotated[str, typer.Option("--state", metavar="STATE,...", help="Only those in these states.")] = "",
    app: Annotated[str, typer.Option("--app", metavar="NAME", help="Only those of this app.")] = "",
    executor: Annotated[str, typer.Option("--executor", metavar="LABEL", help="Only those of this executor.")] = "",
    host: Annotated[str, typer.Option("--host", metavar="NAME", help="Only those that ran there.")] = "",
    image: Annotated[str, typer.Option("--image", metavar="NAME", help="Only those of this image.")] = "",
    text: Annotated[str, typer.Option("--text", metavar="WORDS", help="Only those with it in app or error.")] = "",
    after: Annotated[int, typer.Option("--after", metavar="TASK", help="Go on after this one.")] = -1,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="Number of rows.", min=1, max=10_000)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the tasks of a run by their number; without monitoring, those that a running run still knows."""
    import shutil
    from contextlib import closing

    from cnflow.cli.output import as_json as format_json
    from cnflow.cli.runs.lookup import find_run
    from cnflow.cli.runs.source import RunSource
    from cnflow.cli.runs.tables import task_table, tasks_as_json

    words = {"state": state, "app": app, "executor": executor, "host": host, "image": image, "text": text}
    with closing(RunSource(find_run(run, database))) as source:
        found = source.tasks(words, limit=limit, after=after)
    if as_json:
        typer.echo(format_json(tasks_as_json(found)))
    else:
        typer.echo(task_table(found, shutil.get_terminal_size((160, 24)).columns))

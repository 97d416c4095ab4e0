"""``cnflow report``: writes the report of a run as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from cnflow.cli.commands.tasks import DatabaseURL


def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Folder of the run, its number, its id, or a folder of runs, of which the newest is used.",
        ),
    ] = "runinfo",
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; report-NUMBER.html by default, - for stdout."
        ),
    ] = None,
    database: DatabaseURL = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print what the report has as JSON instead.")] = False,
) -> None:
    """Write the report of a run, with plots, as one HTML file that needs nothing else."""
    import time

    from cnflow.cli.output import as_json as format_json
    from cnflow.cli.runs.lookup import find_run
    from cnflow.errors import MissingExtraError

    with MissingExtraError.for_import("The report of a run", "monitoring"):
        from cnflow.cli.runs.reports import recorded, report_as_json, write_report
        from cnflow.monitoring.report.collect import collect
        from cnflow.monitoring.report.page import page

    place = find_run(run, database)
    reader = recorded(place)
    try:
        values = collect(reader, place.id, time.time())
    finally:
        reader.close()
    if as_json:
        typer.echo(format_json(report_as_json(values)))
        return
    text = page(values)
    if output == Path("-"):
        typer.echo(text, nl=False)
    else:
        typer.echo(write_report(output or Path(f"report-{place.folder.name}.html"), text))

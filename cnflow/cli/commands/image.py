"""``cnflow image``: looks at images."""

from typing import Annotated

import typer

image = typer.Typer(help="Handle images.", no_args_is_help=True)


@image.callback()
def _image() -> None:
    """Handle images."""


@image.command()
def check(
    reference: Annotated[str, typer.Argument(metavar="IMAGE", help="Image to look at; pulled if the engine lacks it.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Look into IMAGE: its Pythons, C library, packages, user, entrypoint, shell, and what will not work.

    The exit code is 0 if apps will work in it.
    """
    from cnflow.cli import image_report, output

    report = image_report.report_on(reference)
    if as_json:
        typer.echo(output.as_json(image_report.plain(report)))
    else:
        typer.echo(image_report.table(report))
        for finding in report.findings:
            typer.echo()
            typer.secho(f"{finding.verdict.value}: {finding.found}.", fg=output.colour_of(finding.verdict))
            typer.echo(finding.advice)
    raise typer.Exit(1 if image_report.is_bad(report) else 0)

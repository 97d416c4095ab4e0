"""``cnflow image``: looks at images; builds them from recipes, lists and removes those; brings them to sites."""

from pathlib import Path
from typing import Annotated

import typer

image = typer.Typer(
    help="Handle images: look at them, build them from recipes, bring them to clusters.", no_args_is_help=True
)


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


@image.command()
def build(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:NAME]",
            help="Python file with images or apps, of which NAME is one; a configuration; or a Dockerfile.",
        ),
    ],
) -> None:
    """Build the images with recipes in FILE, unless the engine has them, and print their names."""
    from cnflow.cli.images import build_images

    for name in build_images(target):
        typer.echo(name)


@image.command()
def push(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="Image of this machine's engine or of a registry, SIF or Docker archive, as apps name it.",
        ),
    ],
    *,
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="Configuration with the sites.")],
    label: Annotated[
        str, typer.Option("--executor", metavar="LABEL", help="Only for the site of this executor.", show_default=False)
    ] = "",
) -> None:
    """Bring IMAGE to the sites of a configuration, ahead of a run, and look at its Python there."""
    from rich.console import Console

    from cnflow.cli.pushed_images import push_images, shown_on, targets_of
    from cnflow.config.files import load_config

    progress = shown_on(Console(stderr=True, highlight=False))
    for pushed in push_images(targets_of(load_config(config), reference, label), progress):
        typer.echo(pushed.line)


@image.command("ls")
def list_() -> None:
    """List the images that cnflow built."""
    from cnflow.cli.images import list_images

    typer.echo(list_images() or "No image here was built by cnflow.")


@image.command()
def prune(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Remove only images of this name, such as cnflow/train.")
    ] = "",
    *,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Keep younger images; such as 12h or 7d.")
    ] = "0s",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed, and remove nothing.")
    ] = False,
) -> None:
    """Remove the images that cnflow built and that nothing uses; no others."""
    from cnflow.cli.images import prune_images

    removed, refused = prune_images(name, older_than, dry_run=dry_run)
    for each in removed:
        typer.echo(f"{'would remove' if dry_run else 'removed'} {each}")
    for line in refused:
        typer.echo(f"not removed: {line}", err=True)
    if not removed and not refused:
        typer.echo("Nothing to remove.")
    if refused:
        raise typer.Exit(1)

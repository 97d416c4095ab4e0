"""``cnflow capsule``: the manager and worker code that travels into a container."""

from pathlib import Path
from typing import Annotated

import typer

from cnflow.errors import ConfigurationError

capsule = typer.Typer(help="Handle the capsule that carries cnflow's worker code into an image.", no_args_is_help=True)


@capsule.callback()
def _capsule() -> None:
    """Keep ``unpack`` a word of its own: typer folds a group of one command into that command."""


@capsule.command()
def unpack(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="Image whose Python, architecture and C library decide its content.")
    ],
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", file_okay=False, help="Folder to unpack it into; made if it is not there.")
    ],
) -> None:
    """Write the capsule for IMAGE into DIR, for an image that is to hold it from the start."""
    from cnflow.cli.engine import unpack_capsule  # noqa: PLC0415 - start-up stays fast

    try:
        unpack_capsule(image, directory)
    except OSError as error:
        raise ConfigurationError(f"{directory}: {error.strerror or error}") from error
    typer.echo(f"The capsule for {image} is in {directory}.")

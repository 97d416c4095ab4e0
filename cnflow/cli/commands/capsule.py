"""``cnflow capsule``: writes the code of manager and worker for an image."""

from pathlib import Path
from typing import Annotated

import typer

from cnflow.errors import ConfigurationError

capsule = typer.Typer(help="Handle the capsule with cnflow's worker code for an image.", no_args_is_help=True)


@capsule.callback()
def _capsule() -> None:
    """Handle the capsule."""


@capsule.command()
def unpack(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="Image whose Python, architecture and C library decide its content.")
    ],
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", file_okay=False, help="Folder to write it to; created if missing."),
    ],
) -> None:
    """Write the capsule for IMAGE to DIR, to build it into an image."""
    from cnflow.cli.engine import unpack_capsule

    try:
        unpack_capsule(image, directory)
    except OSError as error:
        raise ConfigurationError(f"{directory}: {error.strerror or error}") from error
    typer.echo(f"The capsule for {image} is in {directory}.")


@capsule.command()
def build(
    python: Annotated[
        str,
        typer.Argument(
            metavar="PYTHON",
            help="Minor version of the Python that runs it, such as 3.9, or 'carried': the capsule brings the one that "
            "runs this command.",
        ),
    ],
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", file_okay=False, help="Folder to write it to; created if missing."),
    ],
    machine: Annotated[
        str, typer.Option(help="Architecture, x86_64 or aarch64; that of this machine if it is not given.")
    ] = "",
    libc: Annotated[str, typer.Option(help="C library of the other machine or image, glibc or musl.")] = "glibc",
) -> None:
    """Write the capsule for a Python on Linux to DIR, for a machine without containers or an image of your own."""
    from cnflow.cli.engine import build_capsule

    try:
        build_capsule(python, machine, libc, directory)
    except OSError as error:
        raise ConfigurationError(f"{directory}: {error.strerror or error}") from error
    about = "that carries this Python" if python == "carried" else f"for Python {python}"
    typer.echo(f"The capsule {about} is in {directory}.")

"""``cnflow perf``: how many tasks per second a configuration does."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from cnflow import __version__
from cnflow.cli.perf_batches import Load, measure, mode_of, refuse_resources

T = TypeVar("T")


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer hands an option's value on by position
    if asked:
        typer.echo(f"cnflow perf from cnflow {__version__}")
        raise typer.Exit


def _told(option: str, read: Callable[[str], T], text: str) -> T:
    """What *text* says; what it cannot say is a mistake in *option*."""
    try:
        return read(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=f"'{option}'") from error


def perf(  # noqa: PLR0913 - typer makes an option of each
    *,
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Configuration: TOML, YAML or JSON, or Python with `config` or `fresh_config`.",
        ),
    ],
    time: Annotated[
        float, typer.Option("--time", metavar="SECONDS", help="How long the longest batch is to take.", min=0.0)
    ] = 120.0,
    iterate: Annotated[
        str,
        typer.Option(
            "--iterate", metavar="MODE", help="estimate, exponential, or the numbers of tasks, such as 10,100,1000."
        ),
    ] = "estimate",
    resources: Annotated[
        str, typer.Option("--resources", metavar="DICT", help="What a task asks for; only {} so far.")
    ] = "{}",
    argsize: Annotated[int, typer.Option("--argsize", metavar="BYTES", help="Size of each argument.", min=0)] = 0,
    resultsize: Annotated[int, typer.Option("--resultsize", metavar="BYTES", help="Size of each result.", min=0)] = 0,
    image: Annotated[str, typer.Option("--image", metavar="IMAGE", help="Container image that tasks run in.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress within a batch.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Run batches of tasks that do nothing through a configuration, and print how many a second it does.

    The first batch holds the start of the workers, too.
    """
    from cnflow.config import load_config  # noqa: PLC0415 - start-up stays fast

    del version
    mode = _told("--iterate", mode_of, iterate)
    _told("--resources", refuse_resources, resources)
    loaded = load_config(config)
    if sys.stderr.isatty() and not quiet:
        from cnflow.cli.watch import Watch  # noqa: PLC0415 - the same

        Watch().every_run()
    measure(loaded, mode, time, Load(argsize, resultsize, image), typer.echo)

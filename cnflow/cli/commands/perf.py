"""``cnflow perf``: measures the tasks per second of a configuration."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from cnflow import __version__
from cnflow.cli.perf_batches import Load, measure, parse_mode, refuse_resources

T = TypeVar("T")


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer passes the value by position
    if requested:
        typer.echo(f"cnflow perf from cnflow {__version__}")
        raise typer.Exit


def _parse_option(option: str, parse: Callable[[str], T], text: str) -> T:
    """Parse *text*; a ValueError becomes a usage error of *option*."""
    try:
        return parse(text)
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
        float, typer.Option("--time", metavar="SECONDS", help="Time that the longest batch should take.", min=0.0)
    ] = 120.0,
    iterate: Annotated[
        str,
        typer.Option(
            "--iterate",
            metavar="MODE",
            help="estimate, exponential, or numbers of tasks, such as 10,100,1000.",
        ),
    ] = "estimate",
    resources: Annotated[
        str, typer.Option("--resources", metavar="DICT", help="Resources of each task; only {} is possible so far.")
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
    """Run batches of empty tasks with a configuration, and print the tasks per second.

    The first batch includes the start of the workers.
    """
    from cnflow.config import load_config

    del version
    mode = _parse_option("--iterate", parse_mode, iterate)
    _parse_option("--resources", refuse_resources, resources)
    loaded = load_config(config)
    if sys.stderr.isatty() and not quiet:
        from cnflow.cli.watch import Watch

        Watch().watch_runs()
    measure(loaded, mode, time, Load(argsize, resultsize, image), typer.echo)

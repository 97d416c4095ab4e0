"""``cnflow config``: what a configuration means, without starting anything."""

import enum
from pathlib import Path
from typing import Annotated

import typer

config = typer.Typer(help="Look at a configuration without starting anything.", no_args_is_help=True)


class Format(str, enum.Enum):
    """How a Config is printed."""

    JSON = "json"
    YAML = "yaml"


@config.callback()
def _config() -> None:
    """Keep ``show`` a word of its own: typer folds a group of one command into that command."""


@config.command()
def show(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Python (with a variable `config`), TOML, JSON or YAML file; the default Config without it.",
        ),
    ] = None,
    *,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.JSON,
    requests: Annotated[
        bool,
        typer.Option(
            "--requests", help="Print what would be sent to the Docker engine for each executor's first block."
        ),
    ] = False,
) -> None:
    """Print a configuration with every option filled in."""
    from cnflow.cli import printed  # noqa: PLC0415 - start-up stays fast
    from cnflow.config import Config  # noqa: PLC0415 - the same
    from cnflow.config.files import load_config  # noqa: PLC0415 - the same

    loaded = load_config(file) if file else Config()
    if requests:
        from cnflow.cli.sent import requests_of  # noqa: PLC0415 - the same

        shown = requests_of(loaded)
    else:
        shown = loaded.model_dump(mode="json")
    typer.echo(printed.as_yaml(shown) if output is Format.YAML else printed.as_json(shown))

"""``cnflow config``: what a configuration means, without starting anything."""

import enum
from pathlib import Path
from typing import Annotated

import typer

config = typer.Typer(help="Look at a configuration without starting anything.", no_args_is_help=True)


class Format(str, enum.Enum):
    """How a Config is printed."""

    JSON = "json"
    TOML = "toml"
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
    from cnflow.config import Config, dump  # noqa: PLC0415 - start-up stays fast
    from cnflow.config.files import load_config  # noqa: PLC0415 - the same

    loaded = load_config(file) if file else Config()
    if requests:
        from cnflow.cli import output as shown  # noqa: PLC0415 - the same
        from cnflow.cli.request_preview import requests_of  # noqa: PLC0415 - the same

        ways = {Format.JSON: shown.as_json, Format.TOML: dump.table_as_toml, Format.YAML: shown.as_yaml}
        typer.echo(ways[output](requests_of(loaded)))
    else:
        write = {Format.JSON: dump.to_json, Format.TOML: dump.to_toml, Format.YAML: dump.to_yaml}[output]
        typer.echo(write(loaded))

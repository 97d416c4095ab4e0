"""``cnflow config``: shows a configuration without starting anything."""

import enum
from pathlib import Path
from typing import Annotated

import typer

config = typer.Typer(help="Look at a configuration without starting anything.", no_args_is_help=True)


class Format(str, enum.Enum):
    """Format of a printed Config."""

    JSON = "json"
    TOML = "toml"
    YAML = "yaml"


@config.callback()
def _config() -> None:
    """Keep ``show`` a subcommand: typer folds a group of one command into that command."""


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
    output: Annotated[Format, typer.Option("--format", help="Format of the output.")] = Format.JSON,
    requests: Annotated[
        bool,
        typer.Option(
            "--requests", help="Print what each executor's provider would send for its first block, without secrets."
        ),
    ] = False,
) -> None:
    """Print a configuration with every option filled in."""
    from cnflow.config import Config, dump
    from cnflow.config.files import load_config

    loaded = load_config(file) if file else Config()
    if requests:
        from cnflow.cli import output as shown
        from cnflow.cli.request_preview import preview_requests

        ways = {Format.JSON: shown.as_json, Format.TOML: dump.table_as_toml, Format.YAML: shown.as_yaml}
        typer.echo(ways[output](preview_requests(loaded)))
    else:
        write = {Format.JSON: dump.to_json, Format.TOML: dump.to_toml, Format.YAML: dump.to_yaml}[output]
        typer.echo(write(loaded))

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
    """Print a configuration with every option filled in; passwords in URLs are masked."""
    from cnflow.config import Config, dump
    from cnflow.config.files import load_config
    from cnflow.text import mask_url

    loaded = load_config(file) if file else Config()
    if requests:
        from cnflow.cli import output as shown
        from cnflow.cli.request_preview import preview_requests

        ways = {Format.JSON: shown.as_json, Format.TOML: dump.table_as_toml, Format.YAML: shown.as_yaml}
        typer.echo(mask_url(ways[output](preview_requests(loaded))))
    else:
        write = {Format.JSON: dump.to_json, Format.TOML: dump.to_toml, Format.YAML: dump.to_yaml}[output]
        typer.echo(mask_url(write(loaded)))


@config.command()
def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Python (with a variable `config`), TOML, JSON or YAML file.")
    ],
    *,
    on_site: Annotated[
        bool,
        typer.Option(
            "--on-site",
            help="Ask each executor's system too: is the login node reached, does the scheduler answer, is there the "
            "queue, a container runtime, room in the folders? Brings images there, and looks for their Python.",
        ),
    ] = False,
    probe_job: Annotated[
        bool,
        typer.Option("--probe-job", help="With --on-site: look at the site from a compute node too, by a short job."),
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds until the probe job is given up.", min=1)] = 600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check a configuration before a run. The exit code is 0 if nothing that was checked is bad."""
    from cnflow.cli import output
    from cnflow.cli.site_checks import Depth, check_config, is_fine
    from cnflow.config.files import load_config
    from cnflow.units import Seconds

    depth = Depth(on_site=on_site or probe_job, probe_job=probe_job, timeout=Seconds(timeout))
    found = check_config(load_config(file), depth)
    works = is_fine([finding for findings in found.values() for finding in findings])
    if as_json:
        executors = {label: output.rows_of(findings) for label, findings in found.items()}
        typer.echo(output.as_json({"works": works, "executors": executors}))
    else:
        output.show_checks(found)
    raise typer.Exit(0 if works else 1)

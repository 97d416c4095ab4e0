"""``cnflow blocks``: lists the blocks of a running run, or of all runs at a site."""

from pathlib import Path
from typing import Annotated

import typer

from cnflow.cli.commands.explain import RunFolder


def blocks(
    *,
    run: RunFolder = Path("runinfo"),
    of_all: Annotated[
        bool, typer.Option("--all", help="List your blocks of all runs, as the scheduler of --config has them.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Configuration with the provider to ask; for --all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the blocks of a running run, with the last message about each."""
    if of_all:
        from cnflow.cli import blocks_at_sites
        from cnflow.cli.output import as_json as format_json
        from cnflow.config.files import load_config

        if config is None:
            raise typer.BadParameter("--all needs --config FILE, which has the provider", param_hint="--all")
        found = blocks_at_sites.list_blocks(load_config(config))
        rows = [each._asdict() for each in found]
        typer.echo(format_json({"blocks": rows}) if as_json else blocks_at_sites.table(found))
        return
    from cnflow.cli.control_client import ask_run, blocks_table
    from cnflow.cli.output import as_json as format_json

    reply = ask_run(run, {"ask": "blocks"})
    typer.echo(format_json(reply) if as_json else blocks_table(reply["blocks"]))
    if not as_json and reply.get("spent"):
        typer.echo(f"spent: {reply['spent']}")

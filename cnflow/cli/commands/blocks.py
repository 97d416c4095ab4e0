"""``cnflow blocks``: lists the blocks of a running run."""

from pathlib import Path
from typing import Annotated

import typer

from cnflow.cli.commands.explain import RunFolder


def blocks(
    *,
    run: RunFolder = Path("runinfo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the blocks of a running run, with the last message about each."""
    from cnflow.cli.control_client import ask_run, blocks_table
    from cnflow.cli.output import as_json as format_json

    reply = ask_run(run, {"ask": "blocks"})
    typer.echo(format_json(reply) if as_json else blocks_table(reply["blocks"]))

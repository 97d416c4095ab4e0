"""``cnflow blocks``: the blocks of a run that goes on."""

from pathlib import Path
from typing import Annotated

import typer

from cnflow.cli.commands.explain import RunFolder


def blocks(
    *,
    run: RunFolder = Path("runinfo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the blocks of a run that goes on, and what was said of each last."""
    from cnflow.cli.control_client import asked, blocks_table  # noqa: PLC0415 - start-up stays fast
    from cnflow.cli.output import as_json as written  # noqa: PLC0415 - the same

    reply = asked(run, {"ask": "blocks"})
    typer.echo(written(reply) if as_json else blocks_table(reply["blocks"]))

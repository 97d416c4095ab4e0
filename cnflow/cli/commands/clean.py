"""``cnflow clean``: cancels what a run has left whose driver is gone."""

from pathlib import Path
from typing import Annotated

import typer


def clean(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN_DIR", help="Folder of the run, such as runinfo/007.", show_default=False),
    ] = None,
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Cancel your blocks of all runs instead, as the scheduler of this configuration lists them.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Cancel blocks of --config without asking.")] = False,
) -> None:
    """Cancel the blocks that a run has left whose driver was killed, or could not confirm their end.

    The exit code is 0 if nothing is left, and 1 if the end of a block was not confirmed: run it again then.
    """
    if config is not None:
        raise typer.Exit(_cancel_all(config, is_confirmed=yes))
    if run is None:
        raise typer.BadParameter("name the folder of a run, or --config FILE", param_hint="RUN_DIR")
    from cnflow.cli.leftovers import remove_leftovers

    is_clean = True
    for label, line, is_done in remove_leftovers(run):
        typer.echo(f"executor {label}: {line}")
        is_clean = is_clean and is_done
    raise typer.Exit(0 if is_clean else 1)


def _cancel_all(file: Path, *, is_confirmed: bool) -> int:
    """Cancel the user's blocks of all runs, those of running ones, too; return the exit code."""
    from cnflow.cli import blocks_at_sites
    from cnflow.config.files import load_config

    config = load_config(file)
    found = blocks_at_sites.list_blocks(config)
    typer.echo(blocks_at_sites.table(found))
    if not found:
        _print_removed(blocks_at_sites.remove_orphans(config))
        return 0
    if not is_confirmed:
        typer.confirm("Cancel all of them? Tasks of runs that still go on are started again elsewhere.", abort=True)
    left = blocks_at_sites.cancel_blocks(config, {each.native for each in found})
    for native, reason in left.items():
        typer.echo(f"the end of {native} was not confirmed: {reason}; run this again")
    typer.echo(f"{len(found) - len(left)} blocks were cancelled")
    _print_removed(blocks_at_sites.remove_orphans(config))
    return 1 if left else 0


def _print_removed(removed: list[str]) -> None:
    if removed:
        typer.echo(f"left by runs whose drivers are gone, and removed: {', '.join(removed)}")

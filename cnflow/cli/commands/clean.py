"""``cnflow clean``: cancels what a run has left whose driver is gone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cnflow.config.machines import MachineSettings


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
    cloud: Annotated[
        bool,
        typer.Option(
            "--cloud",
            help="List your machines in the clouds of --config, or in each cloud whose package is installed, with "
            "their cost so far, and end those whose driver is gone.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do so without asking.")] = False,
) -> None:
    """Cancel the blocks that a run has left whose driver was killed, or could not confirm their end.

    The exit code is 0 if nothing is left, and 1 if the end of a block or machine was not confirmed: run it again then.
    """
    if cloud and run is not None:
        raise typer.BadParameter("--cloud looks at all runs; leave out RUN_DIR", param_hint="RUN_DIR")
    if cloud:
        raise typer.Exit(_clean_clouds(config, is_confirmed=yes))
    if config is not None:
        raise typer.Exit(_cancel_all(config, is_confirmed=yes))
    if run is None:
        raise typer.BadParameter("name the folder of a run, or --config FILE, or --cloud", param_hint="RUN_DIR")
    from cnflow.cli.leftovers import remove_leftovers

    is_clean = True
    for label, line, is_done in remove_leftovers(run):
        typer.echo(f"executor {label}: {line}")
        is_clean = is_clean and is_done
    raise typer.Exit(0 if is_clean else 1)


def _clean_clouds(file: Path | None, *, is_confirmed: bool) -> int:
    """End orphans in clouds; return the exit code."""
    from cnflow.cli import cloud_leftovers
    from cnflow.config.files import load_config
    from cnflow.errors import CnflowError, ConfigurationError

    if file is not None:
        clouds = cloud_leftovers.clouds_of(load_config(file))
    else:
        clouds, passed_over = cloud_leftovers.every_cloud()
        for kind, reason in passed_over.items():
            typer.echo(f"not looked at: {kind}: {reason}")
    if not clouds:
        raise ConfigurationError("No cloud was looked at. Name a configuration with one by --config FILE.")
    code, answered = 0, 0
    for settings in clouds:
        try:
            code |= _clean_cloud(settings, is_confirmed=is_confirmed)
            answered += 1
        except CnflowError as error:
            typer.echo(f"not looked at: {settings.kind}: {error}")
    return code if answered and (file is None or answered == len(clouds)) else 1


def _clean_cloud(settings: "MachineSettings", *, is_confirmed: bool) -> int:
    """List what one cloud has of this user, and end orphans; return the exit code."""
    import time

    from cnflow.cli import cloud_leftovers

    with cloud_leftovers.cloud_of(settings) as cloud:
        seen = cloud_leftovers.survey(cloud)
        typer.echo(cloud_leftovers.table(seen, time.time()))
        left: dict[str, str] = {}
        if seen.orphans:
            if not is_confirmed:
                typer.confirm(f"End {_machines(len(seen.orphans))} whose driver is gone?", abort=True)
            left.update(cloud_leftovers.end_orphans(cloud, seen))
            typer.echo(f"{_machines(len(seen.orphans) - len(left))} ended")
        for machine, reason in left.items():
            typer.echo(f"the end of {machine} was not confirmed: {reason}; run this again")
        removed = cloud_leftovers.remove_shared(cloud, seen)
        if removed:
            typer.echo(f"in no use, and removed: {', '.join(removed)}")
    return 1 if left else 0


def _machines(count: int) -> str:
    return "1 machine" if count == 1 else f"{count} machines"


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

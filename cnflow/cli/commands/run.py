"""``cnflow run``: runs a script and shows the progress of its tasks."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    script: Annotated[
        Path, typer.Argument(metavar="SCRIPT", help="Python script to run.", exists=True, dir_okay=False, readable=True)
    ],
    args: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="Arguments of the script.", show_default=False)
    ] = None,
    *,
    parsl: Annotated[
        bool,
        typer.Option("--parsl", help='Let "import parsl" in the script import cnflow: runs a Parsl script unchanged.'),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run a Python script as "python SCRIPT ARGS" would, and show the progress of its tasks on stderr.

    Options of cnflow come before SCRIPT; arguments after it belong to the script. The exit code is the script's.
    """
    from cnflow.cli.script import run_as_main
    from cnflow.cli.watch import Watch

    if parsl:
        import cnflow.compat.parsl  # noqa: F401 - its import is the switch

    watch = None if quiet else Watch()
    if watch:
        watch.watch_runs()
    raise typer.Exit(run_as_main(script, args or [], before_traceback=watch.stop if watch else None))

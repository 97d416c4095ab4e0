"""Registers the commands."""

from typing import Annotated

import typer

from cnflow import __version__
from cnflow.cli.commands.blocks import blocks
from cnflow.cli.commands.capsule import capsule
from cnflow.cli.commands.clean import clean
from cnflow.cli.commands.cloud import cloud
from cnflow.cli.commands.config import config
from cnflow.cli.commands.doctor import doctor
from cnflow.cli.commands.explain import explain
from cnflow.cli.commands.globus import globus
from cnflow.cli.commands.image import image
from cnflow.cli.commands.lock import lock
from cnflow.cli.commands.logs import logs
from cnflow.cli.commands.monitor import monitor
from cnflow.cli.commands.perf import perf
from cnflow.cli.commands.plan import plan
from cnflow.cli.commands.pool import pool
from cnflow.cli.commands.report import report
from cnflow.cli.commands.run import RunCommand, run
from cnflow.cli.commands.serve import serve
from cnflow.cli.commands.task import task
from cnflow.cli.commands.tasks import tasks
from cnflow.cli.commands.top import top

app = typer.Typer(
    help="Run Python functions and shell commands in containers, anywhere, as a dataflow graph.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Options end at the name of the script: later ones belong to the script, as with `python SCRIPT --option-of-script`.
app.command(cls=RunCommand, context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False})(run)
app.command()(doctor)
app.command()(perf)
app.command()(blocks)
app.command()(explain)
app.command()(logs)
app.command()(tasks)
app.command()(task)
app.command()(top)
app.command()(report)
app.command()(monitor)
app.command()(clean)
app.command()(lock)
app.command()(plan)
app.add_typer(config, name="config")
app.add_typer(cloud, name="cloud")
app.add_typer(capsule, name="capsule")
app.add_typer(image, name="image")
app.add_typer(globus, name="globus")
app.add_typer(pool, name="pool")
app.add_typer(serve, name="serve")


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer passes the value by position
    if requested:
        typer.echo(f"cnflow {__version__}")
        raise typer.Exit


@app.callback()
def _cnflow(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Accept the options of `cnflow` itself; the only one is handled by `_print_version`."""
    del version

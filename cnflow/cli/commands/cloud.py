"""``cnflow cloud``: prices of machines."""

from pathlib import Path
from typing import Annotated

import typer

cloud = typer.Typer(help="Look at clouds.", no_args_is_help=True)


@cloud.callback()
def _cloud() -> None:
    """Look at clouds."""


@cloud.command()
def prices(  # noqa: PLR0913 - options of a command line
    name: Annotated[str, typer.Argument(metavar="CLOUD", help="ec2, gce, azure, or one of your table.")] = "ec2",
    *,
    region: Annotated[
        str, typer.Option(help="Region of the prices; the dearest of all without it.", show_default=False)
    ] = "",
    cores: Annotated[int, typer.Option(help="vCPUs at least.")] = 1,
    memory: Annotated[str | None, typer.Option(help='Memory at least, such as "16g".', show_default=False)] = None,
    gpus: Annotated[int, typer.Option(help="GPUs at least; 0 shows types without.")] = 0,
    architecture: Annotated[str, typer.Option(help="x86_64 or arm64.")] = "x86_64",
    most: Annotated[int, typer.Option("--most", help="Types that are shown.", min=1)] = 15,
    update: Annotated[
        Path | None,
        typer.Option(
            "--update",
            metavar="CONFIG",
            help="Fetch the prices of the machines of this configuration from their clouds, into your table.",
        ),
    ] = None,
) -> None:
    """Show the cheapest machines that fit, by the table of prices that budgets count with.

    The prices are estimates: without disks, traffic and discounts. A table of yours goes before the one of cnflow.
    """
    from cnflow.cli import output
    from cnflow.cli.price_update import update_prices
    from cnflow.config.files import load_config

    if update is not None:
        lines, path = update_prices(load_config(update))
        typer.echo("\n".join([*lines, f"written: {path}"]))
        return
    from cnflow.budget.prices import price_table, user_file

    table = price_table()
    names = table.types_that_fit(name, region, cores=cores, memory=memory, gpus=gpus, architecture=architecture)
    if not names:
        raise typer.BadParameter(
            f"the table has no such type of {name!r} with a price in {region or 'any region'}; its clouds: "
            f"{', '.join(sorted(table.clouds))}. Your own table is {user_file()}",
            param_hint="CLOUD",
        )
    output.show_prices([found for each in names[:most] if (found := table.find(name, each))], region)
    typer.echo(f"Dated {table.dated}. Your own table: {user_file()}")

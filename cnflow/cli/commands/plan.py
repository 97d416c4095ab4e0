"""``cnflow plan``: what would be started where, and at what price, without starting it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cnflow.cli.plan import Part


def plan(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="SCRIPT|CONFIG",
            help="Script, which runs until it loads its Config and is ended there; or a file with a Config.",
        ),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]", help="Arguments of the script.", show_default=False)
    ] = None,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no system.")] = False,
    requests: Annotated[bool, typer.Option("--requests", help="Print the requests, too, as JSON.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Show what a run would start, where, and what it costs per hour, and check that it can; nothing is started.

    Credentials, rights, quotas, images and networks are checked as far as each provider can. The exit code is 0 if
    nothing that was checked is bad.
    """
    from cnflow.cli import output
    from cnflow.cli.plan import budget_lines, config_of, plan_of, source_of_prices
    from cnflow.text import mask_url

    config = config_of(file, arguments or [])
    parts = plan_of(config, asks=not offline)
    works = all(part.is_fine for part in parts)
    if as_json:
        values = {"works": works, "parts": [_as_values(part) for part in parts], "budget": budget_lines(config, parts)}
        typer.echo(mask_url(output.as_json(values)))
        raise typer.Exit(0 if works else 1)
    for part in parts:
        _show(part, requests=requests)
    for line in budget_lines(config, parts):
        typer.echo(f"budget of {line}")
    typer.echo(f"{source_of_prices()} Nothing was started.")
    raise typer.Exit(0 if works else 1)


def _show(part: "Part", *, requests: bool) -> None:
    """Print one part of a plan."""
    from cnflow.cli import output
    from cnflow.text import mask_url

    size = f"{part.nodes} node{'s' if part.nodes > 1 else ''}"
    typer.echo(f"executor {part.executor}: {part.provider}")
    typer.echo(f"  blocks: {part.first_blocks} at first, {part.most_blocks} at most, of {size} each")
    typer.echo(f"  price: {part.price}")
    if part.placements:
        typer.echo(f"  where: {', '.join(part.placements)}")
    if part.findings:
        output.show_checks({part.executor: part.findings})
    if requests and part.request:
        typer.echo(mask_url(output.as_json(part.request)))


def _as_values(part: "Part") -> dict[str, object]:
    from cnflow.cli import output

    rate = part.billing.rate._asdict()
    return {
        "executor": part.executor,
        "provider": part.provider,
        "blocks": {"first": part.first_blocks, "most": part.most_blocks, "nodes": part.nodes},
        "rate_of_a_block": rate,
        "rate_beside": part.billing.overhead._asdict(),
        "placements": part.placements,
        "request": part.request,
        "findings": output.rows_of(part.findings),
    }

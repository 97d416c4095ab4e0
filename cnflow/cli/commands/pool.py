"""``cnflow pool``: standing pools of workers, which serve several drivers."""

from pathlib import Path
from typing import Annotated

import typer

pool = typer.Typer(
    help="Standing pools of workers that serve several drivers; see the page 'Share a pool'.", no_args_is_help=True
)

_DEFAULT = Path("cnflow-pool")


def _is_folder(folder: Path) -> Path:
    if folder.parts[:1] == ("kubernetes:",):
        raise typer.BadParameter(
            "a release of the Helm chart is no folder; ask in its server: kubectl exec deploy/RELEASE-server -- cnflow "
            "pool status"
        )
    return folder


_Folder = Annotated[
    Path,
    typer.Argument(metavar="[FOLDER]", help="Folder of the pool's server.", show_default=True, callback=_is_folder),
]
_ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML, JSON, YAML or Python file with the pools; without it, one pool of plain processes on this machine.",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@pool.command()
def start(
    folder: _Folder = _DEFAULT,
    *,
    config: _ConfigFile = None,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="Time for the pools to take drivers.")
    ] = 60.0,
) -> None:
    """Start a server of pools in the background; it runs until "cnflow pool stop"."""
    from cnflow.cli import pool_server
    from cnflow.cli.pool_output import pools_table

    status = pool_server.start(folder, config, wait)
    typer.echo(pools_table(status))
    typer.echo(f"Drivers need a key each: cnflow pool key NAME {folder}")


@pool.command()
def serve(folder: _Folder = _DEFAULT, *, config: _ConfigFile = None) -> None:
    """Run a server of pools in the foreground, with its log on stderr, until SIGTERM or "cnflow pool stop"."""
    from cnflow.cli import pool_server

    pool_server.serve(folder, config)


@pool.command()
def status(folder: _Folder = _DEFAULT, *, as_json: _Json = False) -> None:
    """List the pools of a running server, with their drivers, tasks and blocks."""
    from cnflow.cli.output import as_json as format_json
    from cnflow.cli.pool_output import pools_table
    from cnflow.worker_pool.folder import ServerFolder

    reply = ServerFolder(folder).require({"ask": "status"})
    typer.echo(format_json(reply) if as_json else pools_table(reply))


@pool.command()
def stop(
    folder: _Folder = _DEFAULT,
    *,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="Time for all blocks to be removed.")
    ] = 120.0,
) -> None:
    """End a server of pools, with its blocks. Tasks that are not done stay with their drivers, and do not run."""
    from cnflow.cli import pool_server

    pool_server.stop(folder, wait)
    typer.echo("the pool server has ended")


@pool.command()
def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the driver or the user that gets the key.")],
    pool_address: Annotated[
        str,
        typer.Argument(metavar="[FOLDER]", help="Folder of the server, or kubernetes://NAMESPACE/RELEASE."),
    ] = str(_DEFAULT),
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help='File for the key; "-" prints it.')
    ] = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="Refuse this key from now on instead.")] = False,
) -> None:
    """Issue the key of a driver, or revoke it: in NAME.json, in a Secret of a release, or where --output says."""
    from cnflow.cli import pool_keys

    if revoke:
        pool_keys.revoke(name, pool_address)
        typer.echo(f"the key of {name} is revoked")
        return
    file = pool_keys.file_for(name, pool_address, output)
    text = pool_keys.issue(name, pool_address)
    if output == "-":
        typer.echo(text.decode())
        return
    if file is None:
        typer.echo(f"the Secret with the key of {name} is in the namespace of the release")
        return
    written = pool_keys.write(text, file)
    typer.echo(f"{written}: give it to one driver, as ExistingPool(..., key={str(written)!r})")

"""``cnflow monitor``: serves the dashboard of a database of monitoring; ``parsl-visualize`` is the same."""

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

TOKEN_VARIABLE = "CNFLOW_DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable

_DEFAULT = "runinfo"


def monitor(
    database: Annotated[
        str,
        typer.Argument(
            metavar="[URL]",
            help="Database: a URL such as sqlite:///FILE or postgresql://HOST/NAME, a file, or a folder of runs.",
        ),
    ] = _DEFAULT,
    *,
    listen: Annotated[str, typer.Option("--listen", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 is any free one.")] = 8080,
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            "--host-name",
            metavar="NAME",
            help="Further name by which browsers call this machine; needed with --no-token alone.",
            show_default=False,
        ),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let everyone in who can reach the port: behind a proxy that asks.")
    ] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Only show: no cancelling, no draining.")] = False,
) -> None:
    """Show runs in a browser: those that are going on and those that have ended.

    The address that is printed has a token, which lets the browser in. It is new at each start, unless the variable
    CNFLOW_DASHBOARD_TOKEN has one. Programs send it as "Authorization: Bearer TOKEN" to /api/v1 and /metrics.
    """
    _serve(url_of(database), (listen, port), host_name or [], has_token=not no_token, read_only=read_only)


def _serve(url: str, place: tuple[str, int], host_names: list[str], *, has_token: bool, read_only: bool) -> None:
    from cnflow.errors import MissingExtraError

    with MissingExtraError.for_import("The dashboard", "dashboard"):
        from cnflow.monitoring.dashboard.server import address_of, listen, serve
        from cnflow.monitoring.queries.reader import Reader

    token = (os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)) if has_token else ""
    reader = Reader(url)
    listener = listen(*place)
    typer.echo(f"Dashboard of {reader.name}: {address_of(listener, token)}")
    typer.echo("Ctrl-C ends it.", err=True)
    serve(reader, listener, token=token, hosts=(place[0], *host_names), can_act=not read_only)


def url_of(database: str) -> str:
    """Return the URL of *database*: a URL, a file, a folder of runs or the folder of a run."""
    if "://" in database:
        from cnflow.monitoring.store.endpoint import expanded

        return expanded(database)
    path = Path(database)
    if path.is_dir():
        inside = path / "monitoring.db"
        beside = path.absolute().parent / "monitoring.db"
        return str(beside if not inside.exists() and beside.exists() else inside)
    return str(path)


def parsl_visualize() -> None:
    """Serve the dashboard with the options of Parsl's command of that name."""
    from cnflow.errors import CnflowError

    parser = argparse.ArgumentParser(prog="parsl-visualize", description="Show runs in a browser: see cnflow monitor.")
    parser.add_argument("db_path", nargs="?", default=_DEFAULT, help="URL of the database, such as sqlite:///FILE")
    parser.add_argument("--listen", "--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on")
    parser.add_argument("-d", "--debug", action="store_true", help="accepted, and without effect")
    given = parser.parse_args()
    try:
        _serve(url_of(given.db_path), (given.listen, given.port), [], has_token=True, read_only=False)
    except CnflowError as error:
        sys.exit(str(error))

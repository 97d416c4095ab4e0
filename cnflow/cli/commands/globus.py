"""``cnflow globus``: logs in to Globus, for runs that stage files by it. Also ``parsl-globus-auth``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cnflow.staging.globus.client import GlobusClient
    from cnflow.staging.globus.credentials import Credentials

globus = typer.Typer(help="Log in to Globus, which stages files of globus://UUID/path.", no_args_is_help=True)

_ClientId = Annotated[
    str | None,
    typer.Option("--client-id", metavar="ID", help="Application that acts for you.", envvar="GLOBUS_CLIENT_ID"),
]
_TokenFile = Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help="File of its tokens.")]


@globus.command()
def auth(
    collections: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COLLECTION]...", help="UUIDs of the collections that runs will use."),
    ] = None,
    *,
    data_access: Annotated[
        list[str] | None,
        typer.Option(
            "--data-access",
            metavar="COLLECTION",
            help="A collection known to be a mapped one: saves looking it up, and so a second login.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Add the collections of this configuration.")
    ] = None,
    client_id: _ClientId = None,
    token_file: _TokenFile = None,
    force: Annotated[bool, typer.Option("--force", help="Log in again, even with valid tokens.")] = False,
) -> None:
    """Log in to Globus, if necessary, and consent to the use of collections; runs then need nobody at a terminal.

    A service account (GLOBUS_CLIENT_SECRET is set) logs in without a person.
    """
    from cnflow.staging.globus.paths import collection_id

    asked = [collection_id(each, "COLLECTION") for each in (collections or [])]
    known = [collection_id(each, "--data-access") for each in (data_access or [])]
    if config is not None:
        found, client_id, token_file = _of_config(config, client_id, token_file)
        asked += found
    credentials = _credentials(client_id, token_file)
    client = _client(credentials)
    try:
        _log_in(client, asked, known, is_forced=force)
    finally:
        client.close()
    typer.echo(f"Authorization complete. Its tokens are in {credentials.token_file}")


@globus.command()
def logout(*, client_id: _ClientId = None, token_file: _TokenFile = None) -> None:
    """Revoke the tokens, and remove them."""
    from cnflow.errors import StagingError
    from cnflow.staging.globus.client import GlobusCallError

    client = _client(_credentials(client_id, token_file))
    try:
        client.log_out()
    except GlobusCallError as error:
        raise StagingError(str(error)) from error
    finally:
        client.close()
    typer.echo("Logged out.")


def _log_in(client: "GlobusClient", asked: list[str], known: list[str], *, is_forced: bool) -> None:
    """Log in once, or twice where only the first login allows to look up which collections need a consent."""
    from cnflow.errors import StagingError
    from cnflow.staging.globus.client import GlobusCallError

    try:
        if known:
            client.add_data_access(known)
        client.log_in(is_forced=is_forced)
        needed = [each for each in dict.fromkeys(asked) if each not in known and client.needs_data_access(each)]
        if needed:
            client.add_data_access(needed)
            client.log_in()
    except GlobusCallError as error:
        raise StagingError(str(error)) from error


def _of_config(file: Path, client_id: str | None, token_file: Path | None) -> tuple[list[str], str | None, Path | None]:
    """Collections of the stagings of a configuration, and the application that they name."""
    from cnflow.config.files import load_config
    from cnflow.staging import GlobusStaging

    stagings = [
        staging
        for executor in load_config(file).executors
        for staging in executor.storage_access or ()
        if isinstance(staging, GlobusStaging)
    ]
    for staging in stagings:
        client_id = client_id or staging.client_id
        token_file = token_file or (Path(staging.token_file) if staging.token_file else None)
    return [staging.endpoint_uuid for staging in stagings], client_id, token_file


def _credentials(client_id: str | None, token_file: Path | None) -> "Credentials":
    from cnflow.staging.globus.credentials import find_credentials

    return find_credentials(client_id, None if token_file is None else str(token_file), os.environ)


def _client(credentials: "Credentials") -> "GlobusClient":
    from cnflow.errors import MissingExtraError

    with MissingExtraError.for_import("cnflow globus", "globus"):
        from cnflow.staging.globus.client import GlobusClient
    return GlobusClient(credentials, is_interactive=True)


def parsl_globus_auth() -> None:
    """Run ``cnflow globus auth`` by the name that it has in Parsl."""
    import sys

    from cnflow.cli import main

    typer.echo("Parsl Globus command-line authoriser")
    typer.echo("If authorisation to Globus is necessary, you are prompted now; otherwise nothing is done.")
    sys.argv[1:1] = ["globus", "auth"]
    main()

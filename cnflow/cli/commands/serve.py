"""``cnflow serve``: serves models over HTTP, and changes which versions answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

DEFAULT = "start"
"""Command whose name may be left out: ``cnflow serve TARGET``."""


class ServeGroup(TyperGroup):
    """Group of commands, the first of which need not be named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - a class of click, or of typer's copy of it
        """Parse *args*, with the name of the command that was left out."""
        return super().parse_args(ctx, with_command(args, set(self.commands)))


def with_command(args: list[str], commands: set[str]) -> list[str]:
    """*args* with the default command before them, if they name none and ask for no help.

    >>> with_command(["--image", "app1:0.1"], {"start", "status"})
    ['start', '--image', 'app1:0.1']
    >>> with_command(["status", "--json"], {"start", "status"})
    ['status', '--json']
    """
    if not args or args[0] in commands or args[0] in {"-h", "--help"}:
        return args
    return [DEFAULT, *args]


serve = typer.Typer(
    cls=ServeGroup,
    help='Serve models over HTTP. "cnflow serve TARGET" is "cnflow serve start TARGET"; see the page "Serve a model".',
    no_args_is_help=True,
)

_Run = Annotated[
    Path,
    typer.Option("--run", metavar="DIR", help="Folder of the server's run, or of all runs: the newest server there."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print the state of the server as JSON.")]
_Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.", show_default=False)]
_ModelName = Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the image's model in URLs.")]
_ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="File with the executors, and models besides.")
]
_Pool = Annotated[str, typer.Option("--pool", metavar="ADDRESS", help="Run the models in this pool; needs --pool-key.")]
_PoolKey = Annotated[Path | None, typer.Option("--pool-key", metavar="FILE", help='Key of "cnflow pool key".')]
_Listen = Annotated[str | None, typer.Option("--listen", metavar="ADDRESS", help="Address to listen at.")]
_Port = Annotated[int | None, typer.Option("--port", "-p", metavar="PORT", help="TCP port; 0 is any free one.")]
_Fronts = Annotated[int | None, typer.Option("--fronts", metavar="NUMBER", help="Processes that speak HTTP.")]
_KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="File of API keys: a name and a key in each line.")
]
_AllowAnyone = Annotated[bool, typer.Option("--allow-anyone", help="Serve other machines without API keys.")]
_RUNS = Path("runinfo")


@serve.command()
def start(  # noqa: PLR0913 - options of a command
    target: Annotated[
        str,
        typer.Argument(
            metavar="[TARGET]",
            help="File of settings (TOML, JSON, YAML, Python), or MODULE:NAME of an app, a list or a dict of apps.",
            show_default=False,
        ),
    ] = "",
    *,
    image: Annotated[
        str, typer.Option("--image", metavar="IMAGE", help="Serve the module of this image, in containers.")
    ] = "",
    module: Annotated[
        str, typer.Option("--module", metavar="NAME", help="Module in the image; without, the image's own name.")
    ] = "",
    name: _ModelName = "",
    config: _ConfigFile = None,
    pool: _Pool = "",
    pool_key: _PoolKey = None,
    listen: _Listen = None,
    port: _Port = None,
    fronts: _Fronts = None,
    key_file: _KeyFile = None,
    allow_anyone: _AllowAnyone = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Write the log to stderr from INFO on.")] = False,
) -> None:
    """Serve models until SIGTERM, Ctrl-C or "cnflow serve drain"; requests that were accepted are answered first."""
    from cnflow.cli import model_server
    from cnflow.serving.targets import ImageTarget

    options = {
        "listen": listen,
        "port": port,
        "fronts": fronts,
        "key_file": None if key_file is None else str(key_file),
        "allow_anyone": allow_anyone or None,
    }
    server = model_server.make(
        target,
        ImageTarget(image, module, name),
        config,
        model_server.PoolTarget(pool, pool_key),
        {name: value for name, value in options.items() if value is not None},
    )
    model_server.run(server, verbose=verbose)


@serve.command()
def status(*, run: _Run = _RUNS, as_json: _Json = False) -> None:
    """List the models of a running server, with their versions, shares of calls and workers."""
    _ask(run, {"do": "status"}, as_json=as_json)


@serve.command()
def roll(
    model: _Model,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION|IMAGE", help="Version that the server has, or an image with a new one.", show_default=False
        ),
    ],
    *,
    module: Annotated[
        str, typer.Option("--module", metavar="NAME", help="Module in the image, where it is another than before.")
    ] = "",
    name: Annotated[
        str, typer.Option("--version", metavar="NAME", help="Name of the new version; without, of its digest.")
    ] = "",
    run: _Run = _RUNS,
    as_json: _Json = False,
) -> None:
    """Load a version, and then move all calls to it; no call fails, and "cnflow serve back" undoes it."""
    is_image = any(sign in version for sign in ":/@")
    parts = {"image": version, "version": name} if is_image else {"version": version}
    question = {"do": "roll", "model": model, "module": module, **parts}
    _ask(run, {name: value for name, value in question.items() if value}, as_json=as_json)


@serve.command()
def back(model: _Model, *, run: _Run = _RUNS, as_json: _Json = False) -> None:
    """Return to the shares before the last change."""
    _ask(run, {"do": "back", "model": model}, as_json=as_json)


@serve.command()
def weights(
    model: _Model,
    shares: Annotated[
        list[str],
        typer.Argument(metavar="VERSION=SHARE...", help="Such as v1=9 v2=1; the rest get none.", show_default=False),
    ],
    *,
    run: _Run = _RUNS,
    as_json: _Json = False,
) -> None:
    """Share the calls of a model among its versions: a canary."""
    question = {"do": "weights", "model": model, "weights": dict(map(_share, shares))}
    _ask(run, question, as_json=as_json)


@serve.command()
def shadow(
    model: _Model,
    versions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VERSION[=SHARE]...]", help="Versions; none ends it.", show_default=False),
    ] = None,
    *,
    run: _Run = _RUNS,
    as_json: _Json = False,
) -> None:
    """Send copies of a model's calls to versions whose answers nobody gets."""
    question = {"do": "shadow", "model": model, "shadow": dict(map(_share, versions or []))}
    _ask(run, question, as_json=as_json)


@serve.command()
def drain(
    *,
    run: _Run = _RUNS,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", help="Time for the server to end.")] = 120.0,
) -> None:
    """End a server once all that it accepted is answered, and wait for that."""
    from cnflow.cli import model_server

    model_server.drain(run, wait)
    typer.echo("the server has ended")


@serve.command()
def forward(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ssh://USER@HOST/FOLDER", help="Login and folder where a server was started.", show_default=False
        ),
    ],
    *,
    port: Annotated[int, typer.Option("--port", "-p", metavar="PORT", help="TCP port on this machine.")] = 8000,
    command: Annotated[
        str, typer.Option("--command", metavar="COMMAND", help="The command cnflow there, such as '~/venv/bin/cnflow'.")
    ] = "cnflow",
    ssh_options: Annotated[
        str, typer.Option("--ssh-options", metavar="WORDS", help='More options of ssh, such as "-J gateway".')
    ] = "",
) -> None:
    """Bring a server of another machine, such as a site's login node, to a port of this one, until Ctrl-C."""
    from cnflow.cli import server_forward

    server_forward.run(address, port, command, ssh_options)


def _share(text: str) -> tuple[str, float]:
    name, separator, share = text.rpartition("=")
    if not separator:
        return text, 1.0
    try:
        return name, float(share)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: write VERSION=SHARE with a number, such as v2=0.1") from error


def _ask(run: Path, question: dict[str, Any], *, as_json: bool) -> None:
    from cnflow.cli.model_server import ask
    from cnflow.cli.output import as_json as format_json
    from cnflow.cli.serve_output import server_table

    reply = ask(run, question)
    typer.echo(format_json(reply) if as_json else server_table(reply))
    if reply.get("goes_on") and not as_json:
        typer.echo('It goes on; "cnflow serve status" shows how far it is.')

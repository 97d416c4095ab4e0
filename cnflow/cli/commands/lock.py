"""``cnflow lock``: writes what the images of a project are now, or checks whether they still are."""

from pathlib import Path
from typing import Annotated

import typer

_DEFAULT_FILE = "cnflow.lock"
"""That of `Config.lock_file`."""

_MOVED = 1
"""Exit code of a check that found another image than the locked one, or one that is not locked."""


def lock(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCRIPT.py|IMAGE]...",
            help="Images, and scripts whose images are read from their source. Without any, those of --config, or "
            "else those that the lock file has.",
            show_default=False,
        ),
    ] = None,
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Configuration whose executors' images are locked, too."),
    ] = None,
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="Lock file.")] = Path(_DEFAULT_FILE),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with code 1 if an image has moved or is not locked.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Ask the registry, also where the engine has an image of that name.")
    ] = False,
) -> None:
    """Write digest, Python and packages of images to a lock file, which later runs compare with."""
    from cnflow.cli.lock_report import Change, merged, resolve, sources_of
    from cnflow.cli.output import locked_table
    from cnflow.config.files import load_config
    from cnflow.config.image_lock import ImageLock, read_lock, write_lock
    from cnflow.errors import ConfigurationError

    locked = read_lock(file) or ImageLock()
    sources = sources_of(load_config(config) if config else None, names or ([] if config else locked.references))
    for note in sources.notes:
        typer.echo(note, err=True)
    if not sources.images:
        raise ConfigurationError("There is nothing to lock: name images, a script, or --config FILE.")
    resolved = resolve(sources.images, locked, pull=pull)
    typer.echo(locked_table(resolved))
    if check:
        raise typer.Exit(0 if all(each.change is Change.SAME for each in resolved) else _MOVED)
    write_lock(file, merged(locked, resolved))
    typer.echo(f"{file} has {len(merged(locked, resolved).images)} images.")

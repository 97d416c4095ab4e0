"""A fresh folder for one task: inputs linked in, outputs moved out, removed after."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def sandbox(inputs: Sequence[str], outputs: Sequence[str], prefix: str = "") -> Iterator[str]:
    """The folder's path. When the block ends well its outputs are moved out; it is removed in any case.

    An output that was not made is passed over: whoever promised it looks for it.

    Args:
        inputs: linked in by their last part; those with a relative path by that as well.
        outputs: those with a relative path are moved to that path as seen from the current folder.
        prefix: the folder's path begins with it; by default it is among the temporary files.

    Raises:
        ConfigurationError: two inputs, or an input and an output, want the same name; or an output lies outside.
        OSError: a link, a folder or an output cannot be made or moved; the folder is removed all the same.
    """
    links = _links(inputs)
    moves = _moves(outputs, links)
    where, name = os.path.split(prefix or os.path.join(tempfile.gettempdir(), "cnflow-sandbox"))  # noqa: PTH118
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=where))
    try:
        for name, target in links.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(target)
        for inside in moves:
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        yield str(folder)
        for inside, outside in moves.items():
            _move(folder / inside, outside)
    finally:
        _remove(folder)


def remove_leftovers(prefix: str) -> None:
    """Remove the sandboxes of a process that was killed and used *prefix*."""
    for folder in glob.glob(f"{glob.escape(prefix)}-*"):  # noqa: PTH207 - Path.glob takes no absolute pattern
        _remove(Path(folder))


def _links(inputs: Sequence[str]) -> dict[str, Path]:
    links: dict[str, Path] = {}
    for given in inputs:
        target = Path(os.path.abspath(given))  # noqa: PTH100 - Path.absolute keeps "..", which has no last part
        other = links.setdefault(target.name, target)
        if other != target:
            raise ConfigurationError(
                f"Inputs {str(other)!r} and {str(target)!r} have the same last part, and cannot be in one sandbox. "
                "Rename one, or run the app without sandbox=True.",
            )
    for given in inputs:
        inside = os.path.normpath(given)
        if not os.path.isabs(inside) and Path(inside).parts[0] not in {os.pardir, *links}:  # noqa: PTH117 - a string
            links[inside] = Path(os.path.abspath(given))  # noqa: PTH100 - as above
    return links


def _moves(outputs: Sequence[str], links: dict[str, Path]) -> dict[str, Path]:
    """Path inside -> path outside."""
    moves: dict[str, Path] = {}
    for given in outputs:
        inside = os.path.normpath(given)
        if os.path.isabs(inside):  # noqa: PTH117 - a string, as it was given
            continue  # it is written where it belongs
        if Path(inside).parts[:1] in {(os.pardir,), ()}:
            raise ConfigurationError(
                f"Output {given!r} lies outside of the sandbox. Give an absolute path, or a relative one without '..'.",
            )
        outside = Path.cwd() / inside
        linked = links.get(inside)
        if linked is None:
            moves[inside] = outside
        elif linked != outside:
            raise ConfigurationError(
                f"Input {str(linked)!r} and output {given!r} would be the same file in the sandbox. Rename one.",
            )
    return moves


def _move(inside: Path, outside: Path) -> None:
    if not inside.exists() and not inside.is_symlink():
        return
    outside.parent.mkdir(parents=True, exist_ok=True)
    try:
        inside.replace(outside)
    except OSError:  # another file system, or a folder that is there already
        part = outside.with_name(f".{outside.name}.{os.getpid()}.part")  # nobody sees half a file
        try:
            shutil.move(inside, part)
            if outside.is_dir() and not outside.is_symlink():
                shutil.rmtree(outside)
            part.replace(outside)
        finally:
            _remove(part)


def _remove(path: Path) -> None:
    """Remove *path* and all in it, also what the task made read-only."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)

"""Creates a folder for one task: inputs are linked into it, outputs moved out of it; it is removed afterwards.

::

    sandbox(inputs, outputs)  mkdtemp ──> link inputs ──> make folders of relative outputs
      │ yield its path: the task runs in it
      ├── task succeeded ──> move outputs to their paths ──> remove
      └── task failed, or was stopped ─────────────────────> remove
"""

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

    from cnflow.model.task import RunOptions


def sandbox_of(options: RunOptions, prefix: str = "") -> contextlib.AbstractContextManager[str]:
    """Return the `sandbox` of a task with *options*."""
    return sandbox(options.inputs, options.outputs, prefix, options.folder, options.patterns)


@contextlib.contextmanager
def sandbox(
    inputs: Sequence[str], outputs: Sequence[str], prefix: str = "", home: str = "", patterns: Sequence[str] = ()
) -> Iterator[str]:
    """Return a context whose value is the folder's path; its exit moves outputs out, unless an exception leaves it.

    A missing output is skipped here; `cnflow.tasks.call.check_outputs` reports it.

    Args:
        inputs: paths to link by their last part, and relative ones by their whole path as well.
        outputs: paths; relative ones are moved to the same path under *home*.
        prefix: prefix of the folder's path; by default in the folder for temporary files.
        home: folder that relative paths mean outside of the sandbox; empty for the current one.
        patterns: of outputs; what matches a relative one is moved to the same path under *home*.

    Raises:
        ConfigurationError: two inputs, or an input and an output, have the same name; or an output lies outside.
        OSError: a link or folder cannot be made, or an output cannot be moved; the folder is removed nevertheless.
    """
    home = home or os.getcwd()
    links = _plan_links(inputs, home)
    moves = _plan_moves(outputs, links, home)
    found = _plan_moves(patterns, {}, home)
    where, name = os.path.split(prefix or os.path.join(tempfile.gettempdir(), "cnflow-sandbox"))
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=where))
    try:
        for name, target in links.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(target)
        for inside in moves:
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        for pattern in found:
            (folder / _base_of(pattern)).mkdir(parents=True, exist_ok=True)
        yield str(folder)
        for inside, outside in moves.items():
            _move(folder / inside, outside)
        for pattern in found:
            _move_matches(folder, pattern, Path(home))
    finally:
        _remove(folder)


def remove_leftovers(prefix: str) -> None:
    """Remove the sandboxes that a killed process left under *prefix*."""
    for folder in glob.glob(f"{glob.escape(prefix)}-*"):  # Path.glob accepts no absolute pattern
        _remove(Path(folder))


def _plan_links(inputs: Sequence[str], home: str) -> dict[str, Path]:
    links: dict[str, Path] = {}
    for path in inputs:
        target = _absolute(path, home)
        other = links.setdefault(target.name, target)
        if other != target:
            raise ConfigurationError(
                f"Inputs {str(other)!r} and {str(target)!r} have the same name, and cannot be in one sandbox. "
                "Rename one, or run the app without sandbox=True.",
            )
    for path in inputs:
        inside = os.path.normpath(path)
        if not os.path.isabs(inside) and Path(inside).parts[0] not in {os.pardir, *links}:
            links[inside] = _absolute(path, home)
    return links


def _absolute(path: str, home: str) -> Path:
    return Path(os.path.normpath(os.path.join(home, path)))  # Path.absolute keeps "..", which has no last part


def _plan_moves(outputs: Sequence[str], links: dict[str, Path], home: str) -> dict[str, Path]:
    """Map the path of each relative output inside the sandbox to its path outside."""
    moves: dict[str, Path] = {}
    for path in outputs:
        inside = os.path.normpath(path)
        if os.path.isabs(inside):
            continue  # the task writes it to its final path
        if Path(inside).parts[:1] in {(os.pardir,), ()}:
            raise ConfigurationError(
                f"Output {path!r} lies outside of the sandbox. Give an absolute path, or a relative one without '..'.",
            )
        outside = Path(home) / inside
        linked = links.get(inside)
        if linked is None:
            moves[inside] = outside
        elif linked != outside:
            raise ConfigurationError(
                f"Input {str(linked)!r} and output {path!r} would be the same file in the sandbox. Rename one.",
            )
    return moves


def _base_of(pattern: str) -> str:
    from cnflow.tasks.trees import split_pattern  # a worker starts without it

    return split_pattern(pattern).base


def _move_matches(folder: Path, pattern: str, home: Path) -> None:
    for path in sorted(glob.glob(os.path.join(glob.escape(str(folder)), pattern), recursive=True)):
        name = os.path.relpath(path, folder)
        is_input = os.path.islink(path) and os.path.isabs(os.readlink(path))
        if name != os.curdir and not is_input:
            _move(folder / name, home / name)


def _move(inside: Path, outside: Path) -> None:
    if not inside.exists() and not inside.is_symlink():
        return
    outside.parent.mkdir(parents=True, exist_ok=True)
    try:
        inside.replace(outside)
    except OSError:  # another file system, or a folder that is there already
        part = outside.with_name(f".{outside.name}.{os.getpid()}.part")  # a partial file has no public name
        try:
            shutil.move(inside, part)
            if outside.is_dir() and not outside.is_symlink():
                shutil.rmtree(outside)
            part.replace(outside)
        finally:
            _remove(part)


def _remove(path: Path) -> None:
    """Remove *path* with its content, even if the task made parts of it read-only."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)

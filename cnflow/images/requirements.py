"""Lists of Python packages that a recipe names: files of pip, with those that they include, and uv's lock file."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from cnflow.errors import ImageBuildError
from cnflow.images.context import Entry, file_entry, one_file
from cnflow.images.dockerfile import REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnflow.model.image_recipe import UvLock

_INCLUDE = re.compile(r"(?P<option>-r|-c|--requirement|--constraint)(?:\s+|=)(?P<file>\S+)")
_LOCAL = re.compile(r"(-e|--editable)\b|\.{0,2}/|.*\s@\s+file:|file:")


def requirements_entries(path: Path, folder: str) -> list[Entry]:
    """Return the entries of a file of requirements and of all that it includes, under names below *folder*.

    Included files are numbered, and the lines that name them changed: they may lie anywhere.

    Raises:
        ImageBuildError: a file cannot be read, or a line names a package by its path here.
    """
    names = {path.resolve(): REQUIREMENTS}
    return list(_with_included(path, folder, names, set()))


def _with_included(path: Path, folder: str, names: dict[Path, str], done: set[Path]) -> Iterator[Entry]:
    own = path.resolve()
    if own in done:
        return
    done.add(own)
    one_file(path, "")  # raises the error of an unreadable file
    lines = []
    included = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if found := _INCLUDE.match(text):
            other = path.parent / found["file"]
            name = names.setdefault(other.resolve(), f"included-{len(names)}.txt")
            included.append(other)
            lines.append(f"{found['option']} {name}")
        elif _LOCAL.match(text):
            raise ImageBuildError(
                f"{path}, line {number}: {text!r} is a package of this machine, which an image does not see. Leave it "
                "out, and bring it by copy_local and a pip_install of its path in the image, or by local_packages=."
            )
        else:
            lines.append(line)
    yield file_entry(f"{folder}/{names[own]}", ("\n".join(lines) + "\n").encode())
    for other in included:
        yield from _with_included(other, folder, names, done)


def export_of_uv_lock(step: UvLock, given: Path) -> bytes:
    """Return what a ``uv.lock`` pins, with hashes, as a file of requirements; asks no network.

    Raises:
        ImageBuildError: uv is not installed, or refuses the lock file; quotes it.
    """
    lock = given / "uv.lock" if given.is_dir() else given
    one_file(lock, "")
    uv = shutil.which("uv")
    found = [uv] if uv else [sys.executable, "-m", "uv"]
    if not uv and importlib.util.find_spec("uv") is None:
        raise ImageBuildError(
            f"uv reads {lock}, and is not installed here. Run: pip install uv (or write a file of requirements by "
            "'uv export' elsewhere, and use from_requirements)."
        )
    selected = [*(f"--group={name}" for name in step.groups), *(f"--extra={name}" for name in step.extras)]
    options = ["--frozen", "--no-emit-workspace", "--no-header", "--no-default-groups", "--offline", "--quiet"]
    command = [*found, "export", *options, *selected, "--format=requirements-txt"]
    done = subprocess.run(
        command, cwd=lock.parent, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=120
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise ImageBuildError(f"uv cannot read {lock}: {words}\nRun 'uv lock' beside it, and correct what it names.")
    return done.stdout

"""Makes capsules and keeps them: a folder of packages per kind, and on top of it a tar and a folder per capsule.

Everything in the cache is written beside its place and renamed into it, so two drivers may build the same at once and
one that is killed leaves no half of a thing under its name.
"""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.capsule.contents import capsule_tag, driver_root, packages_tag, travelling_files
from cnflow.capsule.packages import gather, own_kind, wanted
from cnflow.capsule.probe import MARKER_NAME
from cnflow.errors import CapsuleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.capsule.kinds import Kind


def default_cache_dir() -> Path:
    """Where capsules are kept unless the caller says otherwise; the one place that decides it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "cnflow"


def tag_of(kind: Kind) -> str:
    """What the marker of an up-to-date capsule for *kind* says."""
    files = ((name, path.read_bytes()) for name, path in travelling_files(driver_root()))
    return capsule_tag(kind, wanted(), files)


def unpacked(kind: Kind, cache_dir: Path | None = None) -> Path:
    """A folder that holds the capsule for *kind*; made if it is not there yet.

    Raises:
        CapsuleError: its packages could not be got, or the cache cannot be written.
    """
    cache = cache_dir or default_cache_dir()

    def fill(folder: Path) -> None:
        shutil.copytree(_packages(kind, cache), folder, dirs_exist_ok=True)
        for name, path in travelling_files(driver_root()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        (folder / MARKER_NAME).write_text(json.dumps({"tag": tag_of(kind)}), encoding="utf-8")
        if kind == own_kind():
            _compile(folder)

    return _made_once(cache / "capsules" / tag_of(kind), fill)


def capsule_tar(kind: Kind, cache_dir: Path | None = None) -> Path:
    """A tar with the capsule for *kind*, names relative to its root, all owned by root and readable by everybody.

    Raises:
        CapsuleError: as for `unpacked`.
    """
    folder = unpacked(kind, cache_dir)

    def fill(target: Path) -> None:
        with tarfile.open(target / "tar", "w") as archive:
            archive.add(folder, arcname=".", filter=_anonymous)

    return _made_once(folder.with_name(f"{folder.name}.tar.d"), fill) / "tar"


def _packages(kind: Kind, cache: Path) -> Path:
    return _made_once(cache / "packages" / packages_tag(kind, wanted()), lambda folder: gather(kind, folder))


def _made_once(target: Path, fill: Callable[[Path], None]) -> Path:
    """The folder *target*, which *fill* made, now or earlier, here or in another process."""
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            draft = Path(scratch) / "draft"
            draft.mkdir()
            fill(draft)
            try:
                draft.rename(target)
            except OSError:
                if not target.is_dir():  # another process was faster, and made the same
                    raise
    except OSError as error:
        raise CapsuleError(
            f"The capsule cannot be written to the cache: {error}. Make that folder writable, or set XDG_CACHE_HOME.",
        ) from error
    return target


def _compile(folder: Path) -> None:
    """Spare every container the compiling; only this interpreter's own kind can read what it compiles.

    Unchecked, since copying and unpacking change the times that Python would otherwise compare.
    """
    for source in folder.rglob("*.py"):
        shown = str(source.relative_to(folder))
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(source), dfile=shown, invalidation_mode=mode, quiet=1, doraise=False)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.name.endswith(".so") else 0o644
    member.mtime = 0
    return member

"""Builds capsules in the cache: a folder of packages per kind, the driver's interpreter, folder and tar of a capsule.

Each entry of the cache is written beside its final path and renamed: two drivers may build the same one at once, and a
driver that is killed leaves no partial entry.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import py_compile
import shutil
import stat
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.capsule.contents import capsule_files, capsule_tag, digest, driver_root, packages_tag
from cnflow.capsule.interpreter import CARRIED_PYTHON, copy_interpreter, interpreter_tag
from cnflow.capsule.packages import carrying_kind, collect, driver_kind, driver_requirements
from cnflow.capsule.probe import MARKER_NAME
from cnflow.errors import CapsuleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.capsule.kinds import Kind

logger = logging.getLogger(__name__)

_WHOLE: set[Path] = set()
"""Entries of the cache that had all of their files when this process looked."""


def default_cache_dir() -> Path:
    """Return the default cache folder: ``$XDG_CACHE_HOME/cnflow`` or ``~/.cache/cnflow``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "cnflow"


def tag_of(kind: Kind) -> str:
    """Return the tag of the current capsule for *kind*, as in its marker file."""
    files = ((name, path.read_bytes()) for name, path in capsule_files(driver_root()))
    interpreter = interpreter_tag() if kind.carries_python else ""
    return capsule_tag(kind, driver_requirements(), files, interpreter)


def capsule_folder(kind: Kind, cache_dir: Path | None = None) -> Path:
    """Return the folder with the capsule for *kind*; build it if the cache does not have it.

    Raises:
        CapsuleError: the packages could not be collected, or the cache cannot be written.
    """
    cache = cache_dir or default_cache_dir()

    def fill(folder: Path) -> None:
        shutil.copytree(_packages(kind, cache), folder, dirs_exist_ok=True)
        if kind.carries_python:
            shutil.copytree(_interpreter(kind, cache), folder, dirs_exist_ok=True, copy_function=_link)
        for name, path in capsule_files(driver_root()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        (folder / MARKER_NAME).write_text(json.dumps({"tag": tag_of(kind)}), encoding="utf-8")
        if replace(kind, carries_python=False) == driver_kind():
            _compile(folder)
        _open_to_readers(folder)

    return make_once(cache / "capsules" / tag_of(kind), fill)


def capsule_tar(kind: Kind, cache_dir: Path | None = None) -> Path:
    """Return the tar file of the capsule for *kind*; members are relative, owned by root and readable by everybody.

    Raises:
        CapsuleError: as for `capsule_folder`.
    """
    folder = capsule_folder(kind, cache_dir)

    def fill(target: Path) -> None:
        with tarfile.open(target / "tar", "w") as archive:
            archive.add(folder, arcname=".", filter=anonymous)
        os.truncate(target / "tar", archive.offset)  # nothing after the end mark, where Podman stops reading

    return make_once(folder.with_name(f"{folder.name}.tar.d"), fill) / "tar"


def _packages(kind: Kind, cache: Path) -> Path:
    kind = replace(kind, carries_python=False)
    folder = cache / "packages" / packages_tag(kind, driver_requirements())
    return make_once(folder, lambda draft: collect(kind, draft))


def _interpreter(kind: Kind, cache: Path) -> Path:
    packages = _packages(kind, cache)
    folder = cache / "interpreters" / f"{kind.slug}-{digest([interpreter_tag().encode(), packages.name.encode()])}"
    return make_once(folder, lambda draft: copy_interpreter(draft, packages))


def available_kind(kind: Kind, cache_dir: Path | None = None) -> Kind:
    """Return *kind* if its packages can be had, else the one that carries the driver's Python, with a warning.

    Raises:
        CapsuleError: the packages cannot be had, and no Python can be carried to that architecture.
    """
    try:
        _packages(kind, cache_dir or default_cache_dir())
    except CapsuleError as error:
        own = carrying_kind()
        if kind.carries_python or own is None or own.machine != kind.machine:
            raise
        logger.warning("managers run on the driver's Python %s, which the capsule carries. %s", own.python, error)
        return own
    return kind


def make_once(target: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder *target*; if it does not exist, let *fill* write its content to a new folder of that name."""
    if target.is_dir() and not _has_lost_files(target):
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
                if not target.is_dir():  # another process was faster, and made the same folder
                    raise
            else:
                _count_of(target).write_text(str(_number_of_files(target)), encoding="utf-8")
    except OSError as error:
        raise CapsuleError(
            f"The capsule cannot be written to the cache: {error}. Make that folder writable, or set XDG_CACHE_HOME.",
        ) from error
    return target


def _has_lost_files(folder: Path) -> bool:
    """Return True if files were removed from *folder*, as those do who clean up old files; then move it out of the way.

    Looks once in each process.
    """
    if folder in _WHOLE:
        return False
    try:
        number = int(_count_of(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # not known: the folder is new, or of an earlier version
    if _number_of_files(folder) >= number:
        _WHOLE.add(folder)
        return False
    logger.warning(
        "%s has lost files, and is made again. Keep it from being cleaned up, or set XDG_CACHE_HOME.", folder
    )
    with (
        contextlib.suppress(OSError),
        tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as trash,
    ):
        folder.rename(Path(trash) / "damaged")
    return True


def _count_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.count")


def _number_of_files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _link(source: str, target: str) -> None:
    """Link a file of the cache to another entry, whose files never change either; copy it where links are refused."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _compile(folder: Path) -> None:
    """Compile all modules, so that no container has to; only for the driver's own kind of interpreter.

    With unchecked hashes, since copying and unpacking change the times that Python compares by default.
    """
    for source in folder.rglob("*.py"):
        if source.relative_to(folder).parts[0] == CARRIED_PYTHON.partition("/")[0]:
            continue  # compiled when it was copied
        shown = str(source.relative_to(folder))
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(source), dfile=shown, invalidation_mode=mode, quiet=1, doraise=False)


def _open_to_readers(folder: Path) -> None:
    """Make the folder readable for the users of containers in which it is mounted, whatever this process' umask is."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or _is_program(path) else 0o644)


def _is_program(path: Path) -> bool:
    return path.suffix == ".so" or bool(path.stat().st_mode & stat.S_IXUSR)


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return *member* owned by root, readable by everybody, without times."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & stat.S_IXUSR else 0o644
    member.mtime = 0
    return member

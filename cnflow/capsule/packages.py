"""Gathers the three packages of a capsule: from this interpreter's own where they fit, through pip otherwise."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.capsule.contents import is_kept, requirements
from cnflow.capsule.kinds import Kind, kind_of
from cnflow.capsule.probe import Probe
from cnflow.errors import CapsuleError, ImageUnusableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

PACKAGES = {"cloudpickle": "cloudpickle", "msgspec": "msgspec", "pyzmq": "zmq"}
"""Distribution -> what is imported."""

_LAST_WORDS = 6


def wanted() -> list[str]:
    """The requirements of every capsule that this driver makes."""
    return requirements(importlib.metadata.version("cloudpickle"))


def gather(kind: Kind, into: Path) -> None:
    """Put the packages for *kind* into the empty folder *into*.

    Raises:
        CapsuleError: they could not be got; says what was tried and what to do. *into* may hold a part of them.
    """
    if kind == own_kind() and all(_copy(name, kind, into) for name in PACKAGES):
        return
    shutil.rmtree(into)
    into.mkdir()
    with tempfile.TemporaryDirectory(prefix="cnflow-wheels-") as wheels:
        _download(kind, Path(wheels))
        for wheel in Path(wheels).glob("*.whl"):
            _unzip(wheel, into)
    missing = sorted(name for name, module in PACKAGES.items() if not (into / module).is_dir())
    if missing:
        raise CapsuleError(f"pip brought no {', '.join(missing)} for {kind.slug}, though it reported success.")


def own_kind() -> Kind | None:
    """The kind of this very interpreter; None when no capsule fits it."""
    probe = Probe(
        version=".".join(str(number) for number in sys.version_info[:3]),
        implementation="CPython" if sys.implementation.name == "cpython" else sys.implementation.name,
        machine=os.uname().machine,
        libc=_libc(),
        executable=sys.executable,
        bits=64 if sys.maxsize > 2**32 else 32,
        abiflags=getattr(sys, "abiflags", ""),
    )
    try:
        return kind_of(probe, "this interpreter")
    except ImageUnusableError:
        return None


def pip_command(kind: Kind, destination: Path, wanted: Sequence[str]) -> list[str]:
    """What downloads wheels for another interpreter than the one that runs it."""
    platforms = [part for tag in kind.platforms for part in ("--platform", tag)]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--only-binary=:all:", "--no-deps", "--implementation", "cp", "--python-version", kind.python),
        *platforms,
        *("--dest", str(destination)),
        *wanted,
    ]


def may_be_copied(wheel: str, files: Collection[str], module: str, kind: Kind) -> bool:
    """Whether an installed distribution would run in every image of *kind*, the driver's own.

    Args:
        wheel: its ``WHEEL`` file, which tells what it was built for; one built here fits here only.
        files: its files, relative to where it is installed; an editable one lists none of its code.
        module: what is imported from it.
        kind: the driver's own kind.
    """
    tags = [line.partition(":")[2].strip() for line in wheel.splitlines() if line.startswith("Tag:")]
    platforms = {platform for tag in tags for platform in tag.rpartition("-")[2].split(".")}
    return f"{module}/__init__.py" in files and not platforms.isdisjoint({*kind.platforms, "any"})


def explain(kind: Kind, command: Sequence[str], said: str) -> CapsuleError:
    """The error for a pip that failed, with its last words and what to do about them."""
    if "No module named pip" in said:
        advice = f"Install pip beside cnflow ({sys.executable} -m ensurepip)"
    elif "No matching distribution" in said and "Connection" not in said and "Retrying" not in said:
        advice = "Use an image whose Python these packages still publish wheels for"
    else:
        advice = "See that this machine reaches its package index (pip config list)"
    words = "\n".join(f"    {line}" for line in said.strip().splitlines()[-_LAST_WORDS:])
    return CapsuleError(
        f"The packages of a worker for {kind.slug} could not be downloaded. {advice}, or use an image that holds a "
        f"capsule (cnflow capsule unpack), or one with the driver's own Python.\nIt was tried:\n    "
        f"{' '.join(command)}\nand its last words were:\n{words}",
    )


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # another C library knows no such name
        return ""


def _copy(distribution: str, kind: Kind, into: Path) -> bool:
    """Copy an installed distribution; False, with nothing copied, when it may not be."""
    try:
        installed = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    files = {path.as_posix(): Path(str(path.locate())) for path in installed.files or []}
    if not may_be_copied(installed.read_text("WHEEL") or "", files, PACKAGES[distribution], kind):
        return False
    inside = ((name, path) for name, path in files.items() if not name.startswith(("..", "/")) and is_kept(name))
    _place(((name, path.read_bytes()) for name, path in inside), into)
    return True


def _download(kind: Kind, destination: Path) -> None:
    command = pip_command(kind, destination, wanted())
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise explain(kind, command, done.stderr or done.stdout)


def _unzip(wheel: Path, into: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        _place(((name, archive.read(name)) for name in archive.namelist() if is_kept(name)), into)


def _place(files: Iterable[tuple[str, bytes]], into: Path) -> None:
    for name, content in files:
        if name.endswith("/"):
            continue
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

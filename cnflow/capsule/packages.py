"""Collects the packages of a capsule: copies those of this interpreter if they fit, or downloads wheels with pip."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.capsule.contents import is_kept, requirements
from cnflow.capsule.kinds import Kind, fitting_kind
from cnflow.capsule.probe import Probe
from cnflow.errors import CapsuleError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

PACKAGES = {"cloudpickle": "cloudpickle", "msgspec": "msgspec", "pyzmq": "zmq"}
"""Name of the imported module, by distribution."""

_TAIL_LINES = 6


def driver_requirements() -> list[str]:
    """Return the requirements of all capsules of this driver, with its own version of cloudpickle."""
    return requirements(importlib.metadata.version("cloudpickle"))


def collect(kind: Kind, into: Path) -> None:
    """Write the packages for *kind* to the empty folder *into*.

    Raises:
        CapsuleError: pip failed; the message shows its command, its last lines and advice. *into* may hold a part.
    """
    if kind == driver_kind() and all(_copy(name, kind, into) for name in PACKAGES):
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


def driver_kind() -> Kind | None:
    """Return the kind of this interpreter; None if no capsule fits it."""
    probe = Probe(
        version=".".join(str(number) for number in sys.version_info[:3]),
        implementation="CPython" if sys.implementation.name == "cpython" else sys.implementation.name,
        machine=os.uname().machine,
        libc=_libc(),
        executable=sys.executable,
        bits=64 if sys.maxsize > 2**32 else 32,
        abiflags=getattr(sys, "abiflags", ""),
    )
    return fitting_kind(probe)


def carrying_kind() -> Kind | None:
    """Return the kind of a capsule that carries this interpreter; None if it cannot be carried."""
    own = driver_kind()
    return replace(own, carries_python=True) if own is not None and own.libc == "glibc" else None


def pip_command(kind: Kind, destination: Path, requirements: Sequence[str]) -> list[str]:
    """Return the command that downloads wheels for an interpreter of *kind*."""
    platforms = [part for tag in kind.platforms for part in ("--platform", tag)]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--only-binary=:all:", "--no-deps", "--implementation", "cp", "--python-version", kind.python),
        *platforms,
        *("--dest", str(destination)),
        *requirements,
    ]


def is_portable(wheel: str, files: Collection[str], module: str, kind: Kind) -> bool:
    """True if an installed distribution runs in all images of *kind*, that of the driver.

    Args:
        wheel: content of its ``WHEEL`` file, with the platform tags; one that was built here may run only here.
        files: its files, relative to the folder of installation; an editable one lists no code.
        module: name of its module.
        kind: of the driver.
    """
    tags = [line.partition(":")[2].strip() for line in wheel.splitlines() if line.startswith("Tag:")]
    platforms = {platform for tag in tags for platform in tag.rpartition("-")[2].split(".")}
    return f"{module}/__init__.py" in files and not platforms.isdisjoint({*kind.platforms, "any"})


def pip_failure(kind: Kind, command: Sequence[str], output: str) -> CapsuleError:
    """Return the error for a pip that failed, with the last lines of its output and advice."""
    if "No module named pip" in output:
        advice = f"Install pip beside cnflow ({sys.executable} -m ensurepip)"
    elif "No matching distribution" in output and "Connection" not in output and "Retrying" not in output:
        advice = "Use an image whose Python these packages still publish wheels for"
    else:
        advice = "Check that this machine reaches its package index (pip config list)"
    tail = "\n".join(f"    {line}" for line in output.strip().splitlines()[-_TAIL_LINES:])
    return CapsuleError(
        f"The packages of a worker for {kind.slug} could not be downloaded. {advice}, or use an image that contains a "
        f"capsule (cnflow capsule unpack), or one with the driver's Python.\nThe command was:\n    "
        f"{' '.join(command)}\nand its last lines were:\n{tail}",
    )


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # another C library has no such name
        return ""


def _copy(distribution: str, kind: Kind, into: Path) -> bool:
    """Copy an installed distribution; return False, with nothing copied, if it is not portable."""
    try:
        installed = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    files = {path.as_posix(): Path(str(path.locate())) for path in installed.files or []}
    if not is_portable(installed.read_text("WHEEL") or "", files, PACKAGES[distribution], kind):
        return False
    inside = ((name, path) for name, path in files.items() if not name.startswith(("..", "/")) and is_kept(name))
    _place(((name, path.read_bytes()) for name, path in inside), into)
    return True


def _download(kind: Kind, destination: Path) -> None:
    command = pip_command(kind, destination, driver_requirements())
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise pip_failure(kind, command, done.stderr or done.stdout)


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

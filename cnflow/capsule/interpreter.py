"""Carries the driver's own interpreter: a copy that runs in any image of the same architecture.

::

    python/bin/python3         launcher: static, finds the others from its own path          (launchers/launcher.c)
          │ runs
          ▼
    python/libs/loader         dynamic loader of the driver's machine
    python/libs/libc.so.6 ...  C library, and all that the interpreter and its modules need
    python/bin/python3.real    the interpreter itself
    python/lib/python3.11/     standard library, compiled; without tests and graphical interfaces

No variable is set, so programs that tasks start get the image's own libraries. `sys.executable` is the launcher, so
that `subprocess` and `multiprocessing` work. Made once per driver's interpreter, and run before it is trusted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.capsule.contents import digest, is_kept
from cnflow.capsule.libraries import interpreter_of, libraries_of, loaded_by_name
from cnflow.errors import CapsuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CARRIED_PYTHON = "python/bin/python3"
"""Path of the interpreter in a capsule that carries one."""

_LAUNCHERS = Path(__file__).parent / "launchers"
_REAL = "python/bin/python3.real"
_LIBRARIES = "python/libs"
_LOADER = f"{_LIBRARIES}/loader"

_LEFT_OUT = frozenset(
    {"ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "dist-packages", "tkinter", "turtledemo"}
)
_LEFT_OUT_MODULES = ("_tkinter.", "_test", "_ctypes_test", "xx", "turtle.", "sitecustomize.")

_COMPILE = ("-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash")
_QUOTED = 400
_ADVICE = (
    "Run the script on another Python (a distribution's, pyenv's, uv's or conda's on glibc 2.33 or newer), or use an "
    "image that has Python 3.9 or newer."
)


def interpreter_tag() -> str:
    """Return a digest that changes with the interpreter that would be carried."""
    program = _program()
    state = program.stat()
    launcher = _LAUNCHERS / os.uname().machine
    parts = [
        sys.version,
        sysconfig.get_path("stdlib"),
        str(program),
        f"{state.st_size}-{state.st_mtime_ns}",
        _c_library(),
    ]
    return digest([*(part.encode() for part in parts), launcher.read_bytes() if launcher.is_file() else b""])


def copy_interpreter(into: Path, packages: Path) -> None:
    """Write the interpreter that runs this process to the folder *into*, as `CARRIED_PYTHON` and what it needs.

    Args:
        into: folder of the capsule.
        packages: folder of packages with extension modules, whose libraries are carried along.

    Raises:
        CapsuleError: it cannot be carried; says why, and what to do.
        OSError: a file cannot be read or written.
    """
    program = _program()
    loader = interpreter_of(program.read_bytes())
    launcher = _LAUNCHERS / os.uname().machine
    if sys.platform != "linux" or not launcher.is_file():
        raise _cannot(f"it runs on {sys.platform} on {os.uname().machine}")
    if not loader:
        raise _cannot(f"{program} names no dynamic loader: it is linked statically, or is no program")
    _copy(launcher, into / CARRIED_PYTHON, 0o755)
    _copy(program, into / _REAL, 0o755)
    extensions = list(_copy_standard_library(into))
    linked = _linked(loader, program, [*extensions, *packages.rglob("*.so"), *packages.rglob("*.so.*")])
    _copy(Path(loader), into / _LOADER, 0o755)
    for name, path in linked.items():
        _copy(path, into / _LIBRARIES / name, 0o755)
    _strip(into)
    _compile(into / CARRIED_PYTHON, into / "python")


def _program() -> Path:
    """Return the program that runs this process, not that of its virtual environment."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()


def _c_library() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""


def _copy_standard_library(into: Path) -> Iterator[Path]:
    """Copy the standard library to its place below *into*, and yield the original of each extension module."""
    base = {"installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix}  # not those of a virtual environment
    for source in dict.fromkeys(sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")):
        target = into / "python" / os.path.relpath(source, sys.base_prefix)
        for folder, folders, files in os.walk(source):
            folders[:] = sorted(name for name in folders if is_carried_folder(name))
            for file in map(Path(folder).joinpath, filter(is_carried_module, sorted(files))):
                _copy(file, target / file.relative_to(source))
                if file.suffix == ".so":
                    yield file


def is_carried_folder(name: str) -> bool:
    """True if a folder of the standard library is needed in a container."""
    return name not in _LEFT_OUT and not name.startswith("config-") and is_kept(f"{name}/module.py")


def is_carried_module(name: str) -> bool:
    """True if a file of the standard library is needed in a container."""
    return is_kept(name) and not name.startswith(_LEFT_OUT_MODULES) and not name.endswith(".a")


def _linked(loader: str, program: Path, others: Iterable[Path]) -> dict[str, Path]:
    """Return path by name of all libraries of *program* and of *others*, but the loader.

    An extension module one of whose libraries is missing does not work here either, and is no reason to give up.
    """
    own = libraries_of(loader, program)
    if own.missing:
        raise _cannot(f"libraries of {program} are missing: {', '.join(own.missing)}")
    all_of_them = [own, *(libraries_of(loader, path) for path in others)]
    found = {name: path for linked in reversed(all_of_them) for name, path in linked.found.items()}
    found = {**loaded_by_name(own.found.values()), **found}
    return {name: path for name, path in found.items() if path.name != Path(loader).name and name != Path(loader).name}


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _strip(folder: Path) -> None:
    """Remove what only debuggers read, which can be half of all bytes, where this machine has the program for that."""
    if strip := shutil.which("strip"):
        files = [str(path) for path in folder.rglob("*") if path.is_file() and path.suffix not in {".py", ".txt"}]
        subprocess.run([strip, "--strip-debug", *files], capture_output=True, check=False)


def _compile(python: Path, folder: Path) -> None:
    """Compile the standard library with the carried interpreter, which shows that it runs.

    With unchecked hashes, since copying and unpacking change the times that Python compares by default.
    """
    command = [str(python), *_COMPILE, "-s", str(folder.parent), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace", env={})
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-_QUOTED:] or f"exit code {done.returncode}"
        raise _cannot(f"the copy does not run: {words}")


def _cannot(why: str) -> CapsuleError:
    return CapsuleError(
        f"The Python that runs this script ({sys.executable}) cannot be carried into containers: {why}. {_ADVICE}"
    )

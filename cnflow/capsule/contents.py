"""Lists the files of a capsule, and computes the tag of its content. Reads only cnflow's own source."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import cnflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cnflow.capsule.kinds import Kind

CAPSULE_PARTS = (
    "__init__.py",
    "addresses.py",
    "clock.py",
    "compat/__init__.py",
    "compat/parsl/__init__.py",
    "compat/parsl/finder.py",
    "compat/parsl/names.py",
    "errors",
    "html_tables.py",
    "ids.py",
    "interchange",
    "log_lines.py",
    "log_rotation.py",
    "manager",
    "model",
    "open_files.py",
    "output_queue.py",
    "py.typed",
    "tasks",
    "text.py",
    "units.py",
    "vm_agent",
    "wire",
    "worker",
)
"""Modules and folders of the package ``cnflow`` that run in a block, or beside one.

Written for Python 3.9, and for 3.8 what workers import: their Python may be another than the manager's (`kinds`).
"""

_LEFT_OUT = frozenset({"tests", "test", "__pycache__"})
_LEFT_OUT_SUFFIXES = (".pyc", ".pyi", ".pxd", ".pxi", ".c", ".h", ".pyx")


def driver_root() -> Path:
    """Return the folder that contains the ``cnflow`` package of this process."""
    return Path(cnflow.__file__).resolve().parent.parent


def capsule_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file of cnflow for a capsule, sorted: its name in the capsule, and its path under *root*."""
    package = root / "cnflow"
    for name in CAPSULE_PARTS:
        top = package / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(root).as_posix()
            if path.is_file() and is_kept(relative):
                yield relative, path


def is_kept(name: str) -> bool:
    """True if the file of a package is needed at run time: no test, cache or source of an extension module."""
    return not (_LEFT_OUT & set(name.split("/")[:-1]) or name.endswith(_LEFT_OUT_SUFFIXES))


def requirements(cloudpickle: str) -> list[str]:
    """Return the requirements for pip, with the driver's version of cloudpickle.

    Both ends of a pickle need the same cloudpickle. The formats of the other two packages are stable, and their newest
    versions drop old Pythons, so pip chooses versions that fit.
    """
    return [f"cloudpickle=={cloudpickle}", "msgspec>=0.20", "pyzmq>=26.2"]


def digest(parts: Iterable[bytes]) -> str:
    """Return 12 hexadecimal digits of the hash of *parts*; the boundaries between parts count."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.hexdigest()[:12]


def packages_tag(kind: Kind, requirements: Sequence[str]) -> str:
    """Return the tag of the packages for *kind*; equal if pip receives the same requirements."""
    return f"{kind.slug}-{digest(text.encode() for text in [*kind.platforms, *requirements])}"


def capsule_tag(
    kind: Kind, requirements: Sequence[str], files: Iterable[tuple[str, bytes]], interpreter: str = ""
) -> str:
    """Return the tag of a capsule; equal on all machines with the same kind, requirements and code of cnflow.

    Args:
        kind: of the interpreter that runs the manager.
        requirements: of its packages.
        files: name and content of cnflow's own.
        interpreter: tag of the one that the capsule carries, which belongs to one machine; empty without one.
    """
    code = [part for name, content in files for part in (name.encode(), content)]
    code += [interpreter.encode()] if interpreter else []
    return f"{kind.slug}-{digest([packages_tag(kind, requirements).encode(), *code])}"

"""Which files a capsule holds, and the tag by which its content is known; pure but for reading cnflow's own source."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import cnflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cnflow.capsule.kinds import Kind

TRAVELS = (
    "__init__.py",
    "addresses.py",
    "clock.py",
    "compat/__init__.py",
    "compat/parsl/__init__.py",
    "compat/parsl/finder.py",
    "compat/parsl/names.py",
    "errors",
    "ids.py",
    "manager",
    "model",
    "py.typed",
    "tasks",
    "text.py",
    "units.py",
    "wire",
    "worker",
)
"""What of the package ``cnflow`` runs in a block, written for Python 3.9; a folder stands for all in it."""

_LEFT_OUT = frozenset({"tests", "test", "__pycache__"})
_LEFT_OUT_SUFFIXES = (".pyc", ".pyi", ".pxd", ".pxi", ".c", ".h", ".pyx")


def driver_root() -> Path:
    """The folder that holds the ``cnflow`` package of this very process."""
    return Path(cnflow.__file__).resolve().parent.parent


def travelling_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Each file of cnflow that goes into a capsule: its name in there, and where it lies under *root*. In order."""
    package = root / "cnflow"
    for name in TRAVELS:
        top = package / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(root).as_posix()
            if path.is_file() and is_kept(relative):
                yield relative, path


def is_kept(name: str) -> bool:
    """Whether a package's file is of use at run time: no tests, no caches, no sources of extension modules."""
    return not (_LEFT_OUT & set(name.split("/")[:-1]) or name.endswith(_LEFT_OUT_SUFFIXES))


def requirements(cloudpickle: str) -> list[str]:
    """What pip is asked for. A pickle's two ends must agree, so cloudpickle has the driver's own version.

    The other two speak formats that do not change; the newest versions drop old Pythons, so pip takes what fits.
    """
    return [f"cloudpickle=={cloudpickle}", "msgspec>=0.20", "pyzmq>=26.2"]


def digest(parts: Iterable[bytes]) -> str:
    """Twelve hexadecimal digits that stand for *parts*."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.hexdigest()[:12]


def packages_tag(kind: Kind, wanted: Sequence[str]) -> str:
    """Names the packages of one kind: equal when pip would be asked for the same."""
    return f"{kind.slug}-{digest(text.encode() for text in [*kind.platforms, *wanted])}"


def capsule_tag(kind: Kind, wanted: Sequence[str], files: Iterable[tuple[str, bytes]]) -> str:
    """Names a capsule: equal on every machine where kind, packages asked for and cnflow's code are equal."""
    code = [part for name, content in files for part in (name.encode(), content)]
    return f"{kind.slug}-{digest([packages_tag(kind, wanted).encode(), *code])}"

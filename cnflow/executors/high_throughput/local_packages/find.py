"""Finds the files of local packages by their names or paths.

::

    "shop"          distribution, of pip's name ──> its import names ──┐
                    name of an import ─────────────────────────────────┴──> importlib finds it: any way to install it
    "./shop"        folder with __init__.py: that package; with pyproject.toml: the packages in it or in its src/
    "./tool.py"     a module

`importlib.util.find_spec` runs the hooks of editable installs (setuptools, hatch, uv: path files and finders).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from cnflow.errors import ConfigurationError
from cnflow.libraries import is_of_library
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_NO_PACKAGES = frozenset({"build", "dist", "doc", "docs", "example", "examples", "test", "tests"})
_NO_MODULES = frozenset({"conftest", "noxfile", "setup", "tasks"})


class Found(NamedTuple):
    """A package or module that is sent."""

    name: str
    """By which it is imported."""

    path: Path
    """Folder of a package, or file of a module."""

    metadata: tuple[tuple[str, bytes], ...] = ()
    """Files of its distribution, for `importlib.metadata`: path and content."""


def find_packages(given: Sequence[str]) -> list[Found]:
    """Return what each of *given* stands for.

    Raises:
        ConfigurationError: there is no such package; says what to write.
    """
    found: dict[str, Found] = {}
    for each in given:
        for one in _find(each):
            earlier = found.setdefault(f"{one.name} {one.path}", one)
            clash = next((other for other in found.values() if other.name == one.name and other is not earlier), None)
            if clash is not None and (clash.path / "__init__.py").exists():
                raise ConfigurationError(
                    f"local_packages has two packages of the name {one.name!r}: {clash.path} and {one.path}. Leave one "
                    "out."
                )
    return list(found.values())


def _find(given: str) -> list[Found]:
    if os.sep in given or given.startswith((".", "~")) or given.endswith(".py"):
        return _from_path(Path(given).expanduser().absolute(), given)
    return _from_name(given)


def _from_path(path: Path, given: str) -> list[Found]:
    if path.suffix == ".py" and path.is_file():
        return [Found(path.stem, path)]
    if not path.is_dir():
        raise ConfigurationError(f"local_packages: there is no folder or module {given!r} ({path}).")
    if (path / "__init__.py").is_file():
        return [Found(path.name, path)]
    is_project = any((path / name).is_file() for name in _PROJECT_FILES)
    root = path / "src" if is_project and (path / "src").is_dir() else path
    found = [
        Found(entry.stem, entry)
        for entry in sorted(root.iterdir())
        if (
            (entry / "__init__.py").is_file() and entry.name not in _NO_PACKAGES
            if entry.is_dir()
            else entry.suffix == ".py" and entry.stem not in _NO_MODULES
        )
        and entry.stem.isidentifier()
    ]
    if not found:
        raise ConfigurationError(
            f"local_packages: {given!r} ({path}) has neither packages (folders with __init__.py) nor modules."
        )
    return found


def _from_name(name: str) -> list[Found]:
    distribution = _distribution_of(name)
    tops = [name] if distribution is None else _import_names(distribution) or [name.replace("-", "_")]
    files = () if distribution is None else tuple(_metadata_of(distribution))
    found = [one._replace(metadata=files) for top in tops for one in _from_import(top)]
    if not found and distribution is not None and (project := _project_of(distribution)) is not None:
        found = [one._replace(metadata=files) for one in _from_path(project, name)]
    if not found:
        known = {each.metadata["Name"] for each in metadata.distributions() if each.metadata["Name"]}
        raise ConfigurationError(
            f"local_packages: no package {name!r} is installed here or can be imported.{did_you_mean(name, known)} "
            f"Write its name as in an import or as for pip, or a path such as './{name}'."
        )
    return found


def _from_import(name: str) -> list[Found]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        places = [Path(each) for each in spec.submodule_search_locations]
        own = places[:1] if spec.origin else [each for each in places if not is_of_library(str(each / "x"))]
        return [Found(name, each) for each in own if each.is_dir()]
    if spec.origin and spec.origin.endswith(".py"):
        return [Found(name, Path(spec.origin))]
    raise ConfigurationError(
        f"local_packages: {name!r} is no Python source ({spec.origin}), and fits one Python and one platform alone. "
        "Install it in the image."
    )


def _distribution_of(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        wanted = _normal(name)
    candidates: Iterable[metadata.Distribution] = metadata.distributions()
    return next((each for each in candidates if wanted == _normal(each.metadata["Name"] or "")), None)


def _normal(name: str) -> str:
    """Name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _import_names(distribution: metadata.Distribution) -> list[str]:
    text = distribution.read_text("top_level.txt")
    if text is not None:
        return [line for line in text.split() if not line.startswith("__editable__")]
    if (project := _project_of(distribution)) is not None:
        return [one.name for one in _from_path(project, str(project))]
    tops = {file.parts[0].removesuffix(".py") for file in distribution.files or () if file.suffix == ".py"}
    return sorted(top for top in tops if top.isidentifier())


def _project_of(distribution: metadata.Distribution) -> Path | None:
    """Return the folder of an editable install (direct_url.json, PEP 610)."""
    try:
        url = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if not url.get("dir_info", {}).get("editable"):
        return None
    path = Path(unquote(urlsplit(str(url.get("url", ""))).path))
    return path if path.is_dir() else None


def _metadata_of(distribution: metadata.Distribution) -> Iterable[tuple[str, bytes]]:
    folder = f"{(distribution.metadata['Name'] or 'unknown').replace('-', '_')}-{distribution.version}.dist-info"
    for name in ("METADATA", "PKG-INFO", "entry_points.txt"):
        text = distribution.read_text(name)
        if text is not None:
            yield f"{folder}/{'METADATA' if name == 'PKG-INFO' else name}", text.encode()

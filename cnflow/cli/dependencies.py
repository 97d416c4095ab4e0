"""Compares the requirements in cnflow's metadata, which come from pyproject.toml, with the installed packages."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The subset of dependency specifiers (PEP 508) that pyproject.toml uses; a test parses every line of it.
_REQUIREMENT = re.compile(
    r"""^(?P<name>[\w.-]+) (\[[\w,.-]+\])? (>=(?P<minimum>[\d.]+))? \s*
        (; \s* (python_version\s*<\s*['"](?P<before>[\d.]+)['"])? (\s*and\s*)?
               (extra\s*==\s*['"](?P<extra>[\w-]+)['"])? )?$""",
    re.VERBOSE,
)

_IGNORED_EXTRAS = {"all", "dev", "docs", "test"}
"""Extras that contain all others, or that are only for development."""


class Requirement(NamedTuple):
    """One line of the metadata."""

    name: str
    minimum: str
    """Oldest accepted version; empty for any."""

    extra: str
    """Empty for a package that cnflow always needs."""

    before: str
    """Minor version of Python from which on it is not needed; empty if all need it."""

    @property
    def applies_here(self) -> bool:
        """True if this interpreter needs it."""
        return not self.before or sys.version_info[:2] < _numbers(self.before)


class Installed(NamedTuple):
    """A requirement with the installed version."""

    requirement: Requirement
    version: str
    """Empty if it is not installed."""

    @property
    def is_sufficient(self) -> bool:
        """True if it is installed and not too old."""
        return bool(self.version) and _numbers(self.version) >= _numbers(self.requirement.minimum)

    def __str__(self) -> str:
        name, minimum = self.requirement.name, self.requirement.minimum
        if not self.version:
            return f"{name} (not installed)"
        return f"{name} {self.version}" + ("" if self.is_sufficient else f" (older than {minimum})")


def parse_requirement(line: str) -> Requirement:
    """Parse a line of the metadata.

    Raises:
        ValueError: the line has a form that pyproject.toml does not use.
    """
    parts = _REQUIREMENT.match(line)
    if not parts:
        raise ValueError(f"cnflow cannot parse a dependency in its own metadata: {line!r}")
    return Requirement(*(parts[group] or "" for group in ("name", "minimum", "extra", "before")))


def requirements_by_extra(lines: Iterable[str]) -> Mapping[str, list[Requirement]]:
    """Requirements of this interpreter, by extra; ``""`` for packages that are always needed."""
    found: dict[str, list[Requirement]] = {"": []}
    for requirement in map(parse_requirement, lines):
        if requirement.applies_here and requirement.extra not in _IGNORED_EXTRAS:
            found.setdefault(requirement.extra, []).append(requirement)
    return found


def installed_by_extra() -> Mapping[str, list[Installed]]:
    """Requirements of the running cnflow with their installed versions, by extra."""
    required = requirements_by_extra(metadata.requires("cnflow") or [])
    return {extra: [Installed(one, _version(one.name)) for one in those] for extra, those in required.items()}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of *version*, which suffice to compare releases."""
    leading = re.match(r"[\d.]*", version)
    return tuple(int(part) for part in (leading[0] if leading else "").split(".") if part)

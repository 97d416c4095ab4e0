"""What is installed of what cnflow's own metadata asks for; the metadata is made from pyproject.toml."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The part of the dependency language (PEP 508) that pyproject.toml uses; a test reads every line of it with this.
_REQUIREMENT = re.compile(
    r"""^(?P<name>[\w.-]+) (>=(?P<minimum>[\d.]+))? \s*
        (; \s* (python_version\s*<\s*['"](?P<before>[\d.]+)['"])? (\s*and\s*)?
               (extra\s*==\s*['"](?P<extra>[\w-]+)['"])? )?$""",
    re.VERBOSE,
)

_NOT_TOLD = {"all", "dev", "docs"}
"""Extras that stand for all others, or that nobody needs who only runs cnflow."""


class Requirement(NamedTuple):
    """One line of the metadata."""

    name: str
    minimum: str
    """Oldest version that will do; empty takes any."""

    extra: str
    """Empty for what cnflow always needs."""

    before: str
    """Needed only by Pythons older than this; empty for all."""

    @property
    def applies_here(self) -> bool:
        """Whether this interpreter needs it."""
        return not self.before or sys.version_info[:2] < _numbers(self.before)


class Installed(NamedTuple):
    """A requirement and what was found of it."""

    requirement: Requirement
    version: str
    """Empty when it is not installed."""

    @property
    def will_do(self) -> bool:
        """Whether it is there and not too old."""
        return bool(self.version) and _numbers(self.version) >= _numbers(self.requirement.minimum)

    def __str__(self) -> str:
        name, minimum = self.requirement.name, self.requirement.minimum
        if not self.version:
            return f"{name} (not installed)"
        return f"{name} {self.version}" + ("" if self.will_do else f" (older than {minimum})")


def parse_requirement(line: str) -> Requirement:
    """A line of the metadata, taken apart.

    Raises:
        ValueError: it is written in a way that pyproject.toml does not use.
    """
    parts = _REQUIREMENT.match(line)
    if not parts:
        raise ValueError(f"A dependency of cnflow is written in an unknown way: {line!r}")
    return Requirement(*(parts[group] or "" for group in ("name", "minimum", "extra", "before")))


def requirements_by_extra(lines: Iterable[str]) -> Mapping[str, list[Requirement]]:
    """Those that this interpreter needs, by extra; ``""`` stands for what is always needed."""
    found: dict[str, list[Requirement]] = {"": []}
    for requirement in map(parse_requirement, lines):
        if requirement.applies_here and requirement.extra not in _NOT_TOLD:
            found.setdefault(requirement.extra, []).append(requirement)
    return found


def installed_by_extra() -> Mapping[str, list[Installed]]:
    """What the metadata of the cnflow that runs asks for, and what is there of it."""
    wanted = requirements_by_extra(metadata.requires("cnflow") or [])
    return {extra: [Installed(one, _version(one.name)) for one in those] for extra, those in wanted.items()}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of *version*: enough to compare releases."""
    leading = re.match(r"[\d.]*", version)
    return tuple(int(part) for part in (leading[0] if leading else "").split(".") if part)

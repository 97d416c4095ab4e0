"""Backends of installed packages: reads their entry points, and names the package whose entry point is broken."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Plugin(NamedTuple):
    """One kind that installed packages register."""

    kind: str
    group: str
    points: tuple[metadata.EntryPoint, ...]
    """Several where more than one package registers the kind, which is an error for a user of the kind."""

    @property
    def packages(self) -> str:
        """The installed packages that register the kind, with their versions."""
        return " and by ".join(f"{point.dist.name} {point.dist.version}" for point in self.points if point.dist)

    @property
    def package(self) -> str:
        """Name of the outermost package that is imported for it."""
        return self.points[0].module.partition(".")[0]

    def load(self) -> object:
        """Import the package and return the object that its entry point names.

        Raises:
            ConfigurationError: the import fails, or several packages register the kind.
        """
        if len(self.points) > 1:
            raise self.broken("only one package may register a kind")
        try:
            return self.points[0].load()
        except (Exception, SystemExit) as error:  # the import runs any code
            raise self.broken(f"it cannot be imported: {type(error).__name__}: {error}") from error

    def broken(self, why: str) -> ConfigurationError:
        """The error that names the kind, the package or packages that register it, and *why* it cannot be used."""
        names = [point.dist.name for point in self.points if point.dist]
        return ConfigurationError(
            f"The kind {self.kind!r} of {self.group} is registered by {self.packages} as "
            f"{self.points[0].value!r} and cannot be used: {why}. Upgrade or remove what registers it: "
            f"pip install --upgrade {' '.join(names)}, or pip uninstall {names[0]}."
        )


def in_group(group: str) -> Mapping[str, Plugin]:
    """The kinds that the entry points of *group* register, read from the metadata of all installed packages."""
    found: dict[str, dict[str, metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=group):
        package = point.dist.name if point.dist else ""
        found.setdefault(point.name, {}).setdefault(package, point)
    return {kind: Plugin(kind, group, tuple(points.values())) for kind, points in found.items()}

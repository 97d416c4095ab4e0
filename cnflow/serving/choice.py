"""Shares calls among versions as closely to their weights as whole calls can. No I/O.

Smooth weighted round robin, as nginx has it (https://github.com/nginx/nginx/commit/52327e0627f4): at each call every
version is credited with its weight, and the one with the most credit answers and pays the sum of all. No version gets
many calls in a row, and none waits longer than its share demands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.serving.versions import Version, VersionState

if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_VERSIONS: list[Version] = []


class Choice:
    """Versions among which calls are shared at present, and those that get copies."""

    __slots__ = ("_only", "_shadows", "_sharing")

    def __init__(self, sharing: list[Version] = _NO_VERSIONS, shadows: list[Version] = _NO_VERSIONS) -> None:
        self._sharing = sharing
        self._shadows = shadows
        self._only = sharing[0] if len(sharing) == 1 else None

    @staticmethod
    def among(versions: Iterable[Version]) -> Choice:
        """Choice among those of *versions* that can answer; among those that are being loaded if none can."""
        shares, shadows = [], []
        for version in versions:
            if version.weight > 0:
                shares.append(version)
            if version.shadow > 0 and version.state is VersionState.READY:
                shadows.append(version)
        usable = [version for version in shares if version.is_usable]
        return Choice(usable or [each for each in shares if each.state is VersionState.LOADING], shadows)

    def next(self) -> Version | None:
        """Version of the next call; None if there is none."""
        if self._only is not None:
            return self._only
        if not self._sharing:
            return None
        total, best = 0.0, self._sharing[0]
        for version in self._sharing:
            version.credit += version.weight
            total += version.weight
            if version.credit > best.credit:
                best = version
        best.credit -= total
        return best

    def shadows(self) -> list[Version]:
        """Versions that get a copy of the next call."""
        if not self._shadows:
            return _NO_VERSIONS
        chosen = []
        for version in self._shadows:
            version.shadow_credit += version.shadow
            if version.shadow_credit >= 1.0 - 1e-9:
                version.shadow_credit -= 1.0
                chosen.append(version)
        return chosen

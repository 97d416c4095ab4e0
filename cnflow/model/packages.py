"""Packages of a Python, and one short text for all of them: equal where two places have the same versions.

Names and versions are read off the folders ``NAME-VERSION.dist-info`` and ``.egg-info``, which takes a millisecond; to
load the metadata of hundreds of packages would take a second.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-dist-info-directory
_RECORD = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)(-py[0-9.]+)?\.(dist|egg)-info")


def installed_packages(folders: Optional[Iterable[str]] = None) -> dict[str, str]:
    """Return name and version of each package in *folders*; None is where this Python imports from.

    As in an import, the first of two folders counts. A folder that cannot be read has none.
    """
    found: dict[str, str] = {}
    for folder in sys.path if folders is None else folders:
        try:
            entries = os.listdir(folder) if folder else []  # noqa: PTH208 - names alone
        except OSError:
            continue
        for entry in sorted(entries):
            record = _RECORD.fullmatch(entry)
            if record is not None:
                found.setdefault(_plain(record["name"]), record["version"])
    return found


def digest_of_packages(packages: Mapping[str, str]) -> str:
    """Return a digest of names and versions, in 16 hexadecimal digits; empty where there are none."""
    lines = sorted(f"{_plain(name)}=={version}\n" for name, version in packages.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16] if lines else ""


def _plain(name: str) -> str:
    """Return *name* as it is compared: https://packaging.python.org/en/latest/specifications/name-normalization/."""
    return re.sub(r"[-_.]+", "-", name).lower()

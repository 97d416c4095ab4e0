"""Hides secrets in what is shown to the user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = "***"

_SECRET = re.compile(r"pass(word|wd|phrase)?|secret|token|credential|api_?key|access_?key|private_?key", re.IGNORECASE)


def redact(environment: Mapping[str, str]) -> dict[str, str]:
    """Return *environment* with the values of variables hidden whose names say that they are secret."""
    return {name: HIDDEN if _SECRET.search(name) else value for name, value in environment.items()}

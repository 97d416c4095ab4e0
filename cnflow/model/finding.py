"""Findings of `cnflow doctor`: what was checked, the verdict, and what the user can do."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """Meaning of a finding for the user."""

    GOOD = "good"
    ABSENT = "absent"
    """Something optional is missing or does not work."""

    BAD = "bad"
    """Local runs will not work, and so no others."""


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    about: str
    verdict: Verdict
    found: str
    advice: str = ""
    """Advice to the user; empty where nothing needs to be done."""

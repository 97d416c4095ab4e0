"""Findings of `cnflow doctor`: what was checked, the verdict, and what the user can do."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """Meaning of a finding for the user."""

    GOOD = "good"
    ABSENT = "absent"
    """Something optional is missing."""

    BAD = "bad"
    """Not even local runs will work."""


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    about: str
    verdict: Verdict
    found: str
    advice: str = ""
    """What to do about it; empty where nothing needs to be done."""

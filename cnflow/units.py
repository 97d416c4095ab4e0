"""Units are types or part of a name; nothing is a bare number."""

from __future__ import annotations

from typing import NewType

Seconds = NewType("Seconds", float)
"""On a monotonic clock where it is a moment, plain where it is a length of time."""

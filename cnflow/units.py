"""Types and constants for units."""

from __future__ import annotations

import re
from typing import NewType, Union

Seconds = NewType("Seconds", float)
"""A length of time, or a time of a monotonic clock."""

GIB = 1024**3
"""Bytes in a gibibyte."""

_PERIOD_UNITS = (3600, 60, 1)


def seconds_of_period(period: Union[str, float]) -> float:
    """Parse *period*, ``"HH:MM:SS"`` or a number of seconds; return seconds.

    Raises:
        ValueError: *period* is neither, or not above 0; the message shows an example.
    """
    seconds: float
    if isinstance(period, str):
        written = re.fullmatch(r"(\d+):([0-5]?\d):([0-5]?\d)", period.strip())
        seconds = sum(int(part) * unit for part, unit in zip(written.groups(), _PERIOD_UNITS)) if written else 0
    else:
        seconds = period
    if not 0 < seconds < float("inf"):
        raise ValueError(f"a period is written 'HH:MM:SS', e.g. '00:30:00', or is a number of seconds, not {period!r}")
    return float(seconds)

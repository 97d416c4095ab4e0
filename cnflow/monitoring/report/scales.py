"""Axes of plots: round ticks for numbers and for durations. No I/O."""

from __future__ import annotations

import math

_ROUND = (1.0, 2.0, 5.0, 10.0)
_DURATIONS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Steps in seconds that people read well."""

_SECOND, _MINUTE, _HOUR = 1, 60, 3600


def ticks(most: float, about: int = 5) -> list[float]:
    """Return round numbers from 0 to *most* or just above it, *about* as many as asked for."""
    if most <= 0 or not math.isfinite(most):
        return [0.0, 1.0]
    raw = most / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(each for each in (factor * magnitude for factor in _ROUND) if each >= raw * 0.999)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def time_ticks(seconds: float, about: int = 7) -> list[float]:
    """Return round durations from 0 to *seconds*."""
    if seconds < _DURATIONS[0] * about:
        return [tick for tick in ticks(seconds, about) if tick <= seconds]
    step = next((each for each in _DURATIONS if each >= seconds / about), 86400 * math.ceil(seconds / about / 86400))
    return [float(step * number) for number in range(int(seconds // step) + 1)]


def short_number(value: float) -> str:
    """``12``, ``1.5k``, ``2M``: a number at a tick."""
    for size, mark in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{mark}"
    return f"{value:.3g}"


def short_duration(seconds: float) -> str:
    """``0``, ``30 s``, ``5 min``, ``1 h 30``: a duration at a tick."""
    if seconds == 0:
        return "0"
    if seconds < _MINUTE:
        return f"{seconds:g} s"
    if seconds < _HOUR:
        minutes, rest = divmod(round(seconds), _MINUTE)
        return f"{minutes} min" + (f" {rest}" if rest else "")
    hours, rest = divmod(round(seconds), _HOUR)
    return f"{hours} h" + (f" {rest // _MINUTE:02d}" if rest >= _MINUTE else "")

"""Texts of numbers, sizes, times and states, as pages show them. No I/O."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from cnflow.monitoring.queries import views

UNKNOWN = "–"  # noqa: RUF001 - a dash is what people expect of an empty cell
"""Text of a value that is not there."""

_KILO = 1024.0
_SHORT = 10.0
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

STATES = (
    "done",
    "staging_out",
    "running",
    "staging_in",
    "launched",
    "waiting",
    "failed",
    "dependency_failed",
    "cancelled",
)
"""States of a task, as a bar shows them from left to right."""

_LABELS = {"launched": "queued", "dependency_failed": "dependency failed"}


def number(value: float | None) -> str:
    """Return ``1,234,567``; a number with a fraction has two digits of it at most, or its first two that are not 0."""
    if value is None:
        return UNKNOWN
    if float(value).is_integer():
        return f"{int(value):,}"
    if 0.0001 <= abs(value) < 0.1:  # noqa: PLR2004 - a task an hour is not 0.00 tasks/s
        return f"{value:.2g}"
    return f"{value:,.1f}" if abs(value) >= _SHORT else f"{value:.2f}"


def size(value: float | None) -> str:
    """Return ``1.5 MiB``."""
    if value is None or value < 0:
        return UNKNOWN
    amount = float(value)
    for unit in _SIZES:
        if amount < _KILO or unit == _SIZES[-1]:
            break
        amount /= _KILO
    return f"{amount:,.0f} {unit}" if unit == "B" or amount >= 10 * _SHORT else f"{amount:.1f} {unit}"


def seconds(value: float | None) -> str:
    """Return ``3.2 ms``, ``4.7 s``, ``2 min 5 s``, ``1 h 2 min`` or ``3 d 4 h``."""
    if value is None:
        return UNKNOWN
    value = max(0.0, value)
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= _SHORT / 1000 or value == 0 else f"{value * 1000:.1f} ms"
    if value < _MINUTE - 0.05:
        return f"{value:.1f} s"
    value += 0.5  # rounded once, so that 119.7 s are not 1 min 60 s
    if value < _HOUR:
        return f"{value // _MINUTE:.0f} min {value % _MINUTE // 1:.0f} s"
    if value < _DAY:
        return f"{value // _HOUR:.0f} h {value % _HOUR // _MINUTE:.0f} min"
    return f"{value // _DAY:.0f} d {value % _DAY // _HOUR:.0f} h"


def moment(value: float | None, style: str = "moment") -> Markup:
    """Return a ``<time>`` in UTC, which the browser shows in its own zone; *style* is moment, clock or ago."""
    try:
        when = datetime.fromtimestamp(value, timezone.utc) if value is not None else None
    except (ValueError, OverflowError, OSError):  # a clock that is far off
        when = None
    if when is None:
        return Markup(f'<span class="muted">{UNKNOWN}</span>')  # noqa: S704 - a constant
    stamp = when.isoformat(timespec="milliseconds")
    text = f"{when:%H:%M:%S}" if style == "clock" else f"{when:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" data-style="{}">{}</time>').format(stamp, style, text)


def percent(part: float, whole: float) -> str:
    """Return *part* of *whole* in percent; 100 % only where nothing is missing."""
    if whole <= 0:
        return UNKNOWN
    share = 100.0 * part / whole
    if part < whole:
        share = min(share, 99.9)
    return f"{share:.0f} %" if share in {0.0, 100.0} or _SHORT <= share <= 99.5 else f"{share:.1f} %"  # noqa: PLR2004


def state_label(state: str) -> str:
    """Return the words for *state* of a task, a block or a run."""
    return _LABELS.get(state, state.replace("_", " "))


def ordered_states(states: dict[str, int]) -> list[tuple[str, int]]:
    """Return states that have tasks, in the order of `STATES`; unknown ones at the end."""
    known = [(state, states[state]) for state in STATES if states.get(state)]
    return known + [(state, count) for state, count in sorted(states.items()) if state not in STATES and count]


def bar_parts(states: dict[str, int]) -> list[tuple[str, int, float, float]]:
    """Return state, count, start and width (of 1000) for a bar of *states*; none is too narrow to be seen."""
    parts = ordered_states(states)
    total = sum(count for _, count in parts)
    if not total:
        return []
    widths = [max(1000.0 * count / total, 6.0) for _, count in parts]
    scale = 1000.0 / sum(widths)
    result, start = [], 0.0
    for (state, count), width in zip(parts, widths, strict=True):
        result.append((state, count, round(start, 2), round(width * scale, 2)))
        start += width * scale
    return result


def short_digest(value: str) -> str:
    """Return *value*, with a digest in it shortened to 12 digits, as Docker's own lists have it."""
    head, mark, digest = value.partition("sha256:")
    return f"{head}{mark}{digest[:12]}" if mark else value


def cause(group: views.ErrorGroup) -> str:
    """Return the message of *group* without the type, which stands beside it."""
    return group.message.removeprefix(f"{group.type}: ")


def breakable(value: str) -> Markup:
    """Return *value* escaped, with places where a long path or name may go on in the next line."""
    text = escape(value)
    for mark in ("/", "_", "@", "."):
        text = Markup(text.replace(mark, Markup(f"{mark}<wbr>")))  # noqa: S704 - both are escaped
    return text

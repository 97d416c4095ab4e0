"""Draws figures as bars on a logarithmic axis, in SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from benchmarks.report import Report

PANELS = (
    ("burst.per_s", "No-op tasks per second (more is better)"),
    ("chain.per_s", "Chain of dependent tasks, per second (more is better)"),
    ("megabytes.mb_per_s", "1 MB payloads, MB/s (more is better)"),
    ("trip.p50_ms", "Round trip p50, ms (less is better)"),
    ("first.s", "Start to first result, s (less is better)"),
)
_LEFT, _WIDTH, _ROW, _GAP = 190, 430, 18, 46
_STYLE = (
    "text{font:12px sans-serif;fill:#777}.t{font-weight:bold}.v{font-size:11px}.b{fill:#9ab}.c{fill:#2a7}.f{fill:#ccc}"
    ".g{stroke:#8884}"
)


def svg(report: Report) -> str:
    """Return an SVG file with a panel for each entry of `PANELS` that has figures."""
    parts: list[str] = []
    top = 0
    for key, title in PANELS:
        values = [(s, v) for s in report.samples if (v := report.best(s, key)) is not None and v > 0]
        if values:
            parts += _panel(title, values, top)
            top += _GAP + _ROW * len(values)
    size = f'width="{_LEFT + _WIDTH + 80}" height="{top}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"


def _panel(title: str, values: list[tuple[str, float]], top: int) -> list[str]:
    low = math.floor(math.log10(min(value for _, value in values)))
    high = max(math.ceil(math.log10(max(value for _, value in values))), low + 1)
    bottom = top + 26 + _ROW * len(values)

    def at(value: float) -> float:
        return _LEFT + _WIDTH * (math.log10(value) - low) / (high - low)

    parts = [f'<text class="t" x="4" y="{top + 16}">{escape(title)}</text>']
    for power in range(low, high + 1):
        x = at(10.0**power)
        parts.append(f'<path class="g" d="M{x:.1f} {top + 24}V{bottom}"/>')
        parts.append(f'<text class="v" x="{x:.1f}" y="{bottom + 12}" text-anchor="middle">{10.0**power:,.12g}</text>')
    for n, (system, value) in enumerate(values):
        y = top + 26 + _ROW * n
        look = "c" if system.startswith("cnflow") else "f" if system == "floor" else "b"
        width = max(1.0, at(value) - _LEFT)
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 13}" text-anchor="end">{escape(system)}</text>')
        parts.append(f'<rect class="{look}" x="{_LEFT}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 4}"/>')
        parts.append(f'<text class="v" x="{_LEFT + width + 4:.1f}" y="{y + 13}">{_short(value)}</text>')
    return parts


def _short(value: float) -> str:
    """Format *value* with three digits, enough to compare."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits

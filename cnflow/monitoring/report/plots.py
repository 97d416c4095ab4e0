"""Plots of a report as inline SVG, without scripts; colours are classes of the page's style sheet. No I/O.

Each plot has a title for readers of screens, and a tooltip (``<title>``) at each of its marks.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from cnflow.monitoring.report.markup import escape
from cnflow.monitoring.report.scales import short_duration, short_number, ticks, time_ticks
from cnflow.text import brief_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.monitoring.queries.views import AppView, Bar, Step

_WIDTH, _HEIGHT = 900, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 28, 10, 26
_ROW = 22
"""Height of a row of bars."""

_LANE = 12
"""Height of a worker."""

_MOST_LANES = 48
_LABEL = 170
"""Width of names beside rows."""

_LONGEST_NAME = 26

STATES = (
    "done",
    "failed",
    "dependency_failed",
    "cancelled",
    "staging_out",
    "running",
    "launched",
    "staging_in",
    "waiting",
)
"""States in the order of bars."""


class _Frame(NamedTuple):
    """Place of a plot's inner part, and the values at its ends."""

    left: float
    width: float
    top: float
    height: float
    most_x: float
    most_y: float

    def x(self, value: float) -> float:
        return self.left + self.width * value / (self.most_x or 1.0)

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - value / (self.most_y or 1.0))


def progress_plot(steps: Sequence[Step]) -> str:
    """Draw the tasks that are done, failed and cancelled over time, below the line of those submitted."""
    if not steps:
        return _empty("No progress was recorded.")
    began, interval = steps[0].time, interval_of(steps)
    times = [0.0, *(step.time - began + interval for step in steps)]
    sums = {
        name: [0, *itertools.accumulate(getattr(step, name) for step in steps)]
        for name in ("submitted", "done", "failed", "cancelled")
    }
    most = ticks(max(sums["submitted"][-1], sums["done"][-1] + sums["failed"][-1] + sums["cancelled"][-1]))
    frame = _frame(times[-1], most[-1])
    parts = [_axes(frame, most)]
    below = [0] * len(times)
    for state in ("done", "failed", "cancelled"):
        above = [low + number for low, number in zip(below, sums[state], strict=True)]
        if above != below:
            parts.append(_area(frame, times, below, above, state))
        below = above
    line = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(times, sums["submitted"], strict=True))
    words = f"<title>submitted: {sums['submitted'][-1]:,}</title>"
    parts.append(f'<polyline class="submitted" points="{line}">{words}</polyline>')
    return _svg("Tasks done, failed and cancelled over time", _WIDTH, _HEIGHT, parts)


def throughput_plot(steps: Sequence[Step]) -> str:
    """Draw tasks a second over time, failed ones on top."""
    if not any(step.done + step.failed for step in steps):
        return _empty("No task has ended.")
    began, interval = steps[0].time, interval_of(steps)
    most = ticks(max((step.done + step.failed) / interval for step in steps))
    frame = _frame(steps[-1].time - began + interval, most[-1])
    parts = [_axes(frame, most)]
    width = max(0.5, frame.x(interval) - frame.x(0.0) - 0.4)
    for step in steps:
        left, low = frame.x(step.time - began), 0.0
        for state, number in (("done", step.done), ("failed", step.failed)):
            if not number:
                continue
            high = low + number / interval
            top, size = frame.y(high), frame.y(low) - frame.y(high)
            words = (
                f"{short_duration(round(step.time - began, 1))}: {number:,} {state}, {number / interval:.3g} a second"
            )
            parts.append(_rect(left, top, width, size, f"s-{state}", words))
            low = high
    return _svg("Tasks a second over time", _WIDTH, _HEIGHT, parts)


def apps_plot(apps: Sequence[AppView]) -> str:
    """Draw a bar for each app, with a part for each state."""
    if not apps:
        return _empty("The run has no tasks.")
    busiest = sorted(apps, key=lambda each: (-sum(each.states.values()), each.app))[:40]
    most = max(sum(each.states.values()) for each in busiest) or 1
    parts = []
    for number, each in enumerate(busiest):
        top, left = number * _ROW, float(_LABEL)
        parts.append(_label(_LABEL - 8, top + 15, each.app))
        for state in STATES:
            if not (count := each.states.get(state, 0)):
                continue
            width = (_WIDTH - _LABEL - 80) * count / most
            words = f"{each.app}: {count:,} {state.replace('_', ' ')}"
            parts.append(_rect(left, top + 3, width, _ROW - 6, f"s-{state}", words))
            left += width
        parts.append(f'<text x="{left + 6:.1f}" y="{top + 15}">{sum(each.states.values()):,}</text>')
    return _svg("Tasks by app and state", _WIDTH, len(busiest) * _ROW, parts)


def workers_plot(bars: Sequence[Bar]) -> str:
    """Draw a lane for each worker, with a bar for each try or group of short tries."""
    if not bars:
        return _empty("No try ran in a worker of its own.")
    began, end = min(bar.start for bar in bars), max(bar.end for bar in bars)
    lanes = sorted({(bar.host, bar.manager, bar.worker) for bar in bars})
    place = {lane: number for number, lane in enumerate(lanes[:_MOST_LANES])}
    height = len(place) * _LANE
    frame = _Frame(_LABEL, _WIDTH - _LABEL - _RIGHT, 0, height, max(end - began, 1e-3), 1)
    parts = [_time_axis(frame)]
    hosts = [lane[0] for lane in place]
    for lane, number in place.items():
        if hosts.index(lane[0]) == number:
            parts.append(_label(_LABEL - 8, number * _LANE + 10, lane[0] or lane[1]))
    for bar in bars:
        number = place.get((bar.host, bar.manager, bar.worker), -1)
        if number < 0:
            continue
        left, width = frame.x(bar.start - began), max(0.6, frame.x(bar.end - bar.start) - frame.left)
        what = (
            f"task {bar.task} ({bar.app})" if bar.count == 1 else f"{bar.count} tasks, from {bar.task} on ({bar.app})"
        )
        words = f"{what}: {bar.state}, {brief_duration(bar.end - bar.start)}, {bar.host} worker {bar.worker}"
        parts.append(_rect(left, number * _LANE + 1, width, _LANE - 2, f"s-{bar.state}", words))
    plot = _svg("Workers over time", _WIDTH, height + _BOTTOM, parts)
    left_out = len(lanes) - len(place)
    return plot + (f"<p>{left_out} more workers are not drawn.</p>" if left_out else "")


def legend(states: Mapping[str, int]) -> str:
    """Return the names of the states that tasks are in, with their colours and numbers."""
    parts = [
        f'<li><i class="key s-{state}"></i>{state.replace("_", " ")} {states[state]:,}</li>'
        for state in STATES
        if states.get(state)
    ]
    return f'<ul class="legend">{"".join(parts)}</ul>'


def interval_of(steps: Sequence[Step]) -> float:
    """Return the seconds of one interval."""
    gaps = [after.time - before.time for before, after in itertools.pairwise(steps)]
    return min((gap for gap in gaps if gap > 0), default=1.0)


def _frame(most_x: float, most_y: float) -> _Frame:
    return _Frame(_LEFT, _WIDTH - _LEFT - _RIGHT, _TOP, _HEIGHT - _TOP - _BOTTOM, max(most_x, 1e-3), most_y)


def _axes(frame: _Frame, values: Sequence[float]) -> str:
    right = frame.left + frame.width
    lines = [
        _line(frame.left, right, frame.y(value), frame.y(value))
        + f'<text class="end" x="{frame.left - 6:.1f}" y="{frame.y(value) + 4:.1f}">{short_number(value)}</text>'
        for value in values
    ]
    return "".join(lines) + _time_axis(frame)


def _time_axis(frame: _Frame) -> str:
    bottom = frame.top + frame.height
    return "".join(
        _line(frame.x(tick), frame.x(tick), bottom, bottom + 4)
        + f'<text class="middle" x="{frame.x(tick):.1f}" y="{bottom + 18:.1f}">{short_duration(tick)}</text>'
        for tick in time_ticks(frame.most_x)
    )


def _line(left: float, right: float, top: float, bottom: float) -> str:
    return f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def _area(frame: _Frame, times: Sequence[float], below: Sequence[int], above: Sequence[int], state: str) -> str:
    up = [f"{frame.x(moment):.1f},{frame.y(value):.1f}" for moment, value in zip(times, above, strict=True)]
    down = [f"{frame.x(moment):.1f},{frame.y(value):.1f}" for moment, value in zip(times, below, strict=True)]
    words = f"{state}: {above[-1] - below[-1]:,}"
    return f'<polygon class="s-{state}" points="{" ".join([*up, *reversed(down)])}"><title>{words}</title></polygon>'


def _rect(left: float, top: float, width: float, height: float, name: str, words: str) -> str:
    return (
        f'<rect class="{escape(name)}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{escape(words)}</title></rect>"
    )


def _label(right: float, base: float, name: str) -> str:
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    full = f"<title>{escape(name)}</title>"
    return f'<text class="end" x="{right}" y="{base}">{full}{escape(short)}</text>'


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    head = f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {width} {height}">'
    return f'<div class="scroll">{head}{"".join(parts)}</svg></div>'


def _empty(words: str) -> str:
    return f'<p class="empty">{escape(words)}</p>'

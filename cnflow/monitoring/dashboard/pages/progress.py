"""Speed and remaining time of a run, and the times of a task's tries on one axis. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.monitoring.dashboard.formats import seconds, state_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.monitoring.queries import views

SPAN = 60.0
"""Seconds that the speed of a run is averaged over."""

FINAL = frozenset({"done", "failed", "dependency_failed", "cancelled"})
"""States that a task does not leave."""

_WIDTH = 1000.0
"""Length of the axis of a timeline, in units of its drawing."""

_LEFT = 90.0
_LEAST = 2.0
"""Width of the shortest time that is drawn."""


def is_final(state: str) -> bool:
    """Whether a task in *state* stays in it."""
    return state in FINAL


def speed(steps: Sequence[views.Step], now: float, span: float = SPAN) -> float | None:
    """Return the tasks that ended per second in the last *span* seconds before *now*; None before the first ended.

    The steps of a run of many hours are longer than that: then it is their speed.
    """
    ended = [(step.time, step.done + step.failed + step.cancelled) for step in steps]
    if not any(count for _, count in ended):
        return None
    width = ended[1][0] - ended[0][0] if len(ended) > 1 else 0.0
    recent = [(time, count) for time, count in ended if time + max(width - 1.0, 0.0) > now - span]
    began = max(ended[0][0], recent[0][0] if recent else now - span)
    length = max(1.0, now - began)
    return sum(count for _, count in recent) / length


def mean_speed(run: views.RunView, now: float) -> float | None:
    """Return the tasks that ended per second over the whole run."""
    ended = run.done + run.failed + run.cancelled
    length = (run.ended or now) - run.began
    return ended / length if ended and length > 0 else None


def remaining(left: int, per_second: float | None) -> float | None:
    """Return the seconds until *left* tasks have ended at that speed; None where nothing ends."""
    return left / per_second if per_second and left > 0 else None


class Span(NamedTuple):
    """Time that a try spent in one state, as drawn."""

    state: str
    left: float
    width: float
    title: str


class Lane(NamedTuple):
    """One try of a task, as drawn."""

    label: str
    spans: list[Span]


class Timeline(NamedTuple):
    """Tries of a task on one axis of time."""

    lanes: list[Lane]
    ticks: list[tuple[float, float]]
    """Place, and seconds since the task was submitted."""


def in_order(statuses: Sequence[views.StatusView]) -> list[views.StatusView]:
    """Return *statuses* by time; those of one moment in the order of a task's life."""
    return sorted(statuses, key=lambda each: (each.time, each.number, _LIFE.get(each.state, len(_LIFE))))


def timeline(detail: views.TaskDetail, now: float) -> Timeline | None:
    """Return what is drawn of the tries of a task; None before anything happened."""
    points = in_order(detail.statuses)
    if not points:
        return None
    began = min([points[0].time, *([detail.task.submitted] if detail.task.submitted is not None else [])])
    last = now if not is_final(detail.task.state) else max(detail.task.ended or 0.0, points[-1].time)
    length = max(last - began, 1e-3)
    scale = (_WIDTH - _LEFT) / length
    lanes: dict[int, list[Span]] = {}
    for this, after in zip(points, [*points[1:], None], strict=True):
        end = after.time if after is not None else last
        state = _DRAWN.get(this.state, this.state)
        if is_final(state) or end < this.time:
            continue
        left, width = _LEFT + (this.time - began) * scale, max(_LEAST, (end - this.time) * scale)
        title = f"{state_label(this.state)}: {seconds(end - this.time)}"
        span = Span(state, round(left, 1), round(min(width, _WIDTH - left), 1), title)
        lanes.setdefault(this.number, []).append(span)
    ticks = [(round(_LEFT + (_WIDTH - _LEFT) * part / 4, 1), length * part / 4) for part in range(5)]
    return Timeline([Lane(f"try {number}", spans) for number, spans in sorted(lanes.items())], ticks)


_LIFE = {
    state: place
    for place, state in enumerate(("pending", "launched", "staging_in", "running", "staging_out", "running_ended"))
}

_DRAWN = {
    "pending": "waiting",
    "launched": "launched",
    "running_ended": "staging_out",
    "exec_done": "done",
    "memo_done": "done",
    "dep_fail": "dependency_failed",
    "fail_retryable": "failed",
    "joining": "running",
}
"""State whose colour shows a status of Parsl's name."""

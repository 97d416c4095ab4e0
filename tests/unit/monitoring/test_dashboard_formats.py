"""Texts of numbers and times on pages, the speed of a run, and the timeline of a task."""

from __future__ import annotations

import pytest

pytest.importorskip("markupsafe")

from cnflow.monitoring.dashboard import formats
from cnflow.monitoring.dashboard.pages.progress import in_order, remaining, speed, timeline
from cnflow.monitoring.queries import views
from tests.unit.monitoring.dashboard_data import BEGAN, a_detail, a_task


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.25, "250 ms"),
        (9.96, "10.0 s"),
        (59.97, "1 min 0 s"),
        (65, "1 min 5 s"),
        (119.7, "2 min 0 s"),
        (3599.8, "1 h 0 min"),
        (3725, "1 h 2 min"),
        (2e5, "2 d 7 h"),
        (-5, "0 ms"),
    ],
)
def test_seconds_are_short_texts(value: float, text: str) -> None:
    assert formats.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1,234,567"), (12.34, "12.3"), (0.5, "0.50"), (0.00028, "0.00028"), (0.0, "0"), (1e-9, "0.00")],
)
def test_numbers_are_short_texts(value: float, text: str) -> None:
    assert formats.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB")])
def test_sizes_are_short_texts(value: float, text: str) -> None:
    assert formats.size(value) == text


def test_hundred_percent_means_all() -> None:
    assert formats.percent(999_999, 1_000_000) == "99.9 %"
    assert formats.percent(5, 5) == "100 %"


@pytest.mark.parametrize("time", [1e30, float("nan"), -1e18])
def test_time_of_a_clock_that_is_far_off_is_a_dash(time: float) -> None:
    assert formats.UNKNOWN in formats.moment(time)


def test_bar_shows_every_state_that_has_tasks() -> None:
    parts = formats.bar_parts({"done": 1_000_000, "failed": 1})
    assert [state for state, *_ in parts] == ["done", "failed"]
    assert parts[-1][3] > 5
    assert sum(width for *_, width in parts) == pytest.approx(1000, abs=0.1)


def test_breakable_text_is_escaped() -> None:
    assert formats.breakable("a/<b>") == "a/<wbr>&lt;b&gt;"


def step(time: float, done: int) -> views.Step:
    return views.Step(time=time, submitted=0, launched=0, done=done, failed=0, cancelled=0)


def test_speed_is_that_of_the_last_minute() -> None:
    steps = [step(BEGAN + n, 100 if n < 50 else 10) for n in range(200)]
    assert speed(steps, BEGAN + 200) == pytest.approx(10, rel=0.1)
    assert speed([], BEGAN) is None
    assert speed(steps, BEGAN + 4000) == 0.0  # nothing has ended for an hour
    assert remaining(100, 10.0) == 10.0
    assert remaining(100, 0.0) is None


@pytest.mark.parametrize("into", [1, 30, 119])
def test_speed_of_a_run_of_many_hours_is_that_of_its_last_steps(into: int) -> None:
    steps = [step(BEGAN + 120 * n, 1_200) for n in range(600)]  # 10 a second
    steps[-1] = step(steps[-1].time, 10 * into)
    assert speed(steps, steps[-1].time + into) == pytest.approx(10, rel=0.01)


def test_timeline_has_a_lane_for_each_try() -> None:
    statuses = [
        (0, "pending", 0),
        (0, "launched", 1),
        (0, "running", 2),
        (0, "fail_retryable", 5),
        (1, "launched", 6),
        (1, "running", 7),
    ]
    detail = a_detail(
        a_task(state="running", submitted=BEGAN),
        statuses=[
            views.StatusView(number=number, state=state, time=BEGAN + after) for number, state, after in statuses
        ],
    )
    drawn = timeline(detail, BEGAN + 10)
    assert drawn is not None
    assert [(lane.label, [span.state for span in lane.spans]) for lane in drawn.lanes] == [
        ("try 0", ["waiting", "launched", "running"]),
        ("try 1", ["launched", "running"]),
    ]
    last = drawn.lanes[1].spans[-1]
    assert last.left + last.width == pytest.approx(1000, abs=0.5)


def test_clock_that_was_set_back_draws_no_negative_time() -> None:
    statuses = [views.StatusView(number=0, state="running", time=BEGAN + 100)]
    drawn = timeline(a_detail(a_task(state="running", submitted=BEGAN + 100), statuses=statuses), BEGAN)
    assert drawn is not None
    assert all(span.width >= 0 for lane in drawn.lanes for span in lane.spans)


def test_states_of_one_moment_are_in_the_order_of_life() -> None:
    statuses = [views.StatusView(number=0, state=state, time=BEGAN) for state in ("running", "launched", "pending")]
    assert [each.state for each in in_order(statuses)] == ["pending", "launched", "running"]

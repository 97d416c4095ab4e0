import pytest

from cnflow.monitoring.report.scales import short_duration, short_number, ticks, time_ticks


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (10, [0, 2, 4, 6, 8, 10]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, [0, 1]),
        (float("nan"), [0, 1]),
        (7, [0, 2, 4, 6, 8]),
    ],
)
def test_ticks_are_round_and_reach_the_most(most, expected):
    assert ticks(most) == pytest.approx(expected)


@pytest.mark.parametrize(("seconds", "last"), [(60, 60), (3700, 3600), (1e6, 864_000), (0.5, 0.5), (0, 0)])
def test_time_ticks_end_within_the_run(seconds, last):
    found = time_ticks(seconds)
    assert found[-1] == pytest.approx(last)
    assert len(found) <= 12


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0"), (30, "30 s"), (90, "1 min 30"), (300, "5 min"), (5400, "1 h 30"), (7200, "2 h")]
)
def test_short_duration(seconds, words):
    assert short_duration(seconds) == words


@pytest.mark.parametrize(("value", "words"), [(0, "0"), (12, "12"), (1500, "1.5k"), (2_000_000, "2M"), (0.25, "0.25")])
def test_short_number(value, words):
    assert short_number(value) == words

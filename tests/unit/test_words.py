import pytest

from cnflow.text import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (90_061, "25 h 1 min")],
)
def test_a_duration_is_told_in_two_units_at_most(seconds, words):
    assert duration(seconds) == words

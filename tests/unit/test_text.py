import pytest

from cnflow.text import did_you_mean, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (90_061, "25 h 1 min")],
)
def test_duration_has_two_units_at_most(seconds, words):
    assert duration(seconds) == words


def test_did_you_mean_is_empty_if_no_name_is_near():
    assert did_you_mean("retris", ["retries", "executors"]) == " Did you mean 'retries'?"
    assert did_you_mean("zzz", ["retries"]) == ""

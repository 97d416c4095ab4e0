import pytest

from cnflow.text import amount_of_memory, did_you_mean, duration, elide_middle, indent_under


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (90_061, "25 h 1 min")],
)
def test_duration_has_two_units_at_most(seconds, words):
    assert duration(seconds) == words


def test_did_you_mean_is_empty_if_no_name_is_near():
    assert did_you_mean("retris", ["retries", "executors"]) == " Did you mean 'retries'?"
    assert did_you_mean("zzz", ["retries"]) == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (2000, "2 kB"), (2048, "2 KiB"), (4e9, "4 GB"), (1.5 * 2**30, "1.5 GiB")],
)
def test_memory_is_shown_in_the_largest_unit_that_is_not_above_it(size, text):
    assert amount_of_memory(size) == text


def test_the_middle_of_a_long_list_is_elided():
    names = list("abcdefgh")
    assert elide_middle(names) == ["a", "b", "c", "... 2 more ...", "f", "g", "h"]
    assert elide_middle(names[:7]) == names[:7]


def test_a_text_is_indented_under_its_title():
    assert indent_under("Title:", "one\ntwo\n") == "\nTitle:\n    one\n    two"
    assert indent_under("Title:", "\n") == ""

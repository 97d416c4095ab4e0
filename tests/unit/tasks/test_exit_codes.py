"""Exit codes with a meaning of their own."""

import pickle

import pytest

from cnflow.errors import BashExitFailure
from cnflow.tasks.exit_codes import explain_exit_code


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (125, "a failure of themselves"),
        (126, "make it executable"),
        (127, "was not found"),
        (137, "memory"),
        (-9, "memory"),
    ],
)
def test_codes_with_a_meaning_name_the_image_and_what_to_do(code, words):
    assert words in explain_exit_code(code, "app1:0.1")
    assert "image app1:0.1" in explain_exit_code(code, "app1:0.1")
    assert "this node" in explain_exit_code(code, "")


@pytest.mark.parametrize("code", [0, 1, 2, 124, 128, 130, 143, -15])
def test_other_codes_are_the_programs_own(code):
    assert explain_exit_code(code, "app1:0.1") == ""


def test_the_hint_of_a_failure_survives_pickling():
    failure = BashExitFailure("app", 127, "x")
    failure.hint = explain_exit_code(127, "app1:0.1")
    assert str(pickle.loads(pickle.dumps(failure))) == str(failure)
    assert "was not found in image app1:0.1" in str(failure)

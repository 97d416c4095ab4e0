from hypothesis import given
from hypothesis import strategies as st

from cnflow.tasks.script_arguments import VARIABLE, encode, sendable, take

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)


@given(st.lists(texts, min_size=1, max_size=5))
def test_a_command_line_arrives_as_it_was_and_leaves_no_variable(argv):
    environment = {VARIABLE: encode(sendable(argv)), "HOME": "/root"}
    assert take(environment) == argv
    assert environment == {"HOME": "/root"}


def test_a_worker_without_the_variable_has_one_empty_text():
    assert take({}) == [""]


def test_of_a_command_line_that_is_too_long_the_name_of_the_script_is_sent():
    assert sendable(["script.py", "x" * 70_000]) == ("script.py",)


def test_bytes_that_are_no_text_are_replaced():
    assert sendable(["caf\udce9.py"]) == ("caf?.py",)

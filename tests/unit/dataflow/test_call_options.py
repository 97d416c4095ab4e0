"""Special keywords of a call."""

import pytest

from cnflow import Resources
from cnflow.dataflow.call_options import NO_CALL_OPTIONS, parse_call_options, reserved_keywords, run_options
from cnflow.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"walltime": "1"}, "a number of seconds above 0"),
        ({"env": ["A=1"]}, "a dict of names and values"),
        ({"sandbox": "yes"}, "True or False"),
        ({"label": 5}, "a text"),
        ({"inputs": "a.txt"}, "a list"),
    ],
)
def test_keyword_of_the_wrong_type_is_refused_with_the_type_it_must_have(given, wanted):
    ((name, value),) = given.items()
    with pytest.raises(ConfigurationError) as caught:
        parse_call_options("sort", given)
    assert str(caught.value) == f"sort({name}=...) must be {wanted}, not {value!r}."


def test_resources_reach_the_executor():
    options = parse_call_options("f", {"resources": {"gpus": 1}})
    assert run_options(options).resources == Resources(gpus=1)


def test_keywords_that_parsl_does_not_have_are_arguments_of_functions_that_take_them():
    assert reserved_keywords(lambda resources, label, x: None) == {"resources"}
    assert reserved_keywords(lambda *, env=None, sandbox=None: None) == {"env", "sandbox"}
    assert reserved_keywords(lambda **anything: None) == {"env", "keep_remote", "resources", "sandbox"}
    assert reserved_keywords(lambda x: None) == frozenset()


@pytest.mark.parametrize(
    "keywords",
    [
        {"label": 1},
        {"label": ["cat"]},
        {"inputs": {"a": 1}},
        {"inputs": 5.0},
        {"outputs": 0.5},
    ],
    ids=str,
)
def test_value_that_can_only_be_meant_for_the_function_is_no_option(keywords):
    assert parse_call_options("f", keywords, keywords) is NO_CALL_OPTIONS
    with pytest.raises((ConfigurationError, TypeError)):
        parse_call_options("f", keywords)


@pytest.mark.parametrize("outputs", ["a.txt", ["a.txt", 5], [0.5]], ids=str)
def test_outputs_that_are_nearly_files_are_refused(outputs):
    with pytest.raises(ConfigurationError, match="outputs"):
        parse_call_options("f", {"outputs": outputs}, {"outputs"})

"""Special keywords of a call."""

import pytest

from cnflow import Resources
from cnflow.dataflow.call_options import parse_call_options, reserved_keywords, run_options
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


def test_resources_is_an_argument_where_the_function_has_such_a_parameter():
    assert reserved_keywords(lambda resources: None) == {"resources"}
    assert reserved_keywords(lambda **anything: None) == frozenset()

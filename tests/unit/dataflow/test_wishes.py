import pytest

from cnflow.dataflow.call_options import parse_call_options
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
def test_a_keyword_of_the_wrong_type_is_named_with_what_it_must_be(given, wanted):
    ((name, value),) = given.items()
    with pytest.raises(ConfigurationError) as caught:
        parse_call_options("sort", given)
    assert str(caught.value) == f"sort({name}=...) must be {wanted}, not {value!r}."

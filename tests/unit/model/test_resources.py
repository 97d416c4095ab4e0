"""Resources as the user writes them."""

import pytest

from cnflow import Resources, python_app
from cnflow.errors import ConfigurationError
from cnflow.model.resources import memory_in_bytes


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (1000, 1000),
        ("4GB", 4 * 10**9),
        ("4 GiB", 4 * 2**30),
        ("512MiB", 512 * 2**20),
        ("2g", 2 * 2**30),
        ("1.5kB", 1500),
        ("7B", 7),
        ("7", 7),
    ],
)
def test_memory_is_bytes_or_has_a_unit(given, size):
    assert memory_in_bytes(given) == size


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"core": 2}, "resources has no option 'core'. Did you mean 'cores'"),
        ({"cores": 0}, "cores must be a number above 0, not 0"),
        ({"cores": True}, "cores must be a number above 0, not True"),
        ({"memory": "4 parsecs"}, "memory must be .* not '4 parsecs'"),
        ({"memory": -1}, "memory must be"),
        ({"memory": "0GB"}, "memory must be"),
        ({"gpus": 1.5}, "gpus must be a whole number"),
        ({"gpus": float("inf")}, "gpus must be a whole number"),
        ({"priority": "high"}, "priority must be a number"),
        ([2], "resources must be a dict"),
    ],
)
def test_invalid_value_is_refused_by_its_name(given, message):
    with pytest.raises(ConfigurationError, match=message):
        Resources.of(given)


def test_option_that_is_not_given_is_none():
    assert Resources.of({"cores": 2, "memory": "1kB", "gpus": None}) == Resources(2, 1000, None, None)
    assert Resources.of(Resources(memory="1kB")) == Resources(memory=1000)


def test_wrong_option_is_refused_by_the_decorator():
    with pytest.raises(ConfigurationError, match="has no option 'cpus'"):
        python_app(resources={"cpus": 2})

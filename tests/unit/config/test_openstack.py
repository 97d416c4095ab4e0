import pytest

from cnflow.config import HighThroughputExecutor, JetstreamProvider, OpenStackProvider
from cnflow.errors import ConfigurationError


def test_jetstream_is_an_alias():
    assert JetstreamProvider is OpenStackProvider


def test_provider_is_found_by_its_kind():
    provider = {"kind": "openstack", "image_id": "Debian 12", "instance_types": ["m1.small"], "cloud": "campus"}
    made = HighThroughputExecutor(provider=provider).provider
    assert isinstance(made, OpenStackProvider)
    assert made.cloud == "campus"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spot": True}, "OpenStack has no spot machines"),
        ({"volume_type": "ssd"}, "needs the size of the volume: disk_size="),
        ({"create_network": True, "networks": ["campus"]}, "leave networks= out"),
        ({"server": {"tags": []}}, "'tags' is set by cnflow"),
        ({"network": ["campus"]}, "Did you mean 'networks'"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words):
    with pytest.raises(ConfigurationError, match=words):
        OpenStackProvider(image_id="x", **options)

"""Sites of a configuration to which an image is pushed."""

import pytest

from cnflow import Config, Image
from cnflow.cli.pushed_images import targets_of
from cnflow.config import HighThroughputExecutor, LocalProvider, SlurmProvider
from cnflow.errors import ConfigurationError


def config_of(**providers):
    return Config(executors=[HighThroughputExecutor(label=name, provider=one) for name, one in providers.items()])


def test_executors_on_one_site_share_an_image():
    config = config_of(a=SlurmProvider(), b=SlurmProvider(partition="long"), c=SlurmProvider(site_dir="/scratch"))
    assert [target.label for target in targets_of(config, "app1:0.1")] == ["a, b", "c"]


def test_one_executor_can_be_chosen():
    config = config_of(a=SlurmProvider(), b=SlurmProvider(site_dir="/scratch"))
    assert [target.settings.site_dir for target in targets_of(config, "app1:0.1", "b")] == ["/scratch"]


def test_executor_that_has_the_image_lends_its_options():
    image = Image("app1:0.1", pull="always")
    config = Config(executors=[HighThroughputExecutor(label="a", provider=SlurmProvider(), image=image)])
    assert targets_of(config, "app1:0.1")[0].image == image
    assert targets_of(config, "app2:0.1")[0].image == Image("app2:0.1")


def test_unknown_label_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"No executor is labelled 'slurn'\. Did you mean 'slurm'"):
        targets_of(config_of(slurm=SlurmProvider()), "app1:0.1", "slurn")


def test_configuration_without_a_site_is_refused():
    with pytest.raises(ConfigurationError, match="No executor of this configuration runs on a site"):
        targets_of(config_of(a=LocalProvider()), "app1:0.1")

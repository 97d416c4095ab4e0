"""Parsl's provider for EC2."""

import pytest

import cnflow.compat.parsl  # noqa: F401 - makes parsl importable
from cnflow.errors import NotCoveredError


def test_configuration_in_parsls_documentation():
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import AWSProvider

    config = Config(
        executors=[
            HighThroughputExecutor(
                label="ec2_single_node",
                provider=AWSProvider(
                    "YOUR_AMI_ID",
                    region="us-east-1",
                    key_name="YOUR_KEY_NAME",
                    profile="default",
                    state_file="awsproviderstate.json",
                    nodes_per_block=1,
                    init_blocks=1,
                    max_blocks=1,
                    min_blocks=0,
                    walltime="01:00:00",
                ),
            )
        ],
    )
    provider = config.executors[0].provider
    assert (provider.kind, provider.label, provider.region) == ("ec2", "ec2", "us-east-1")
    assert (provider.image_id, provider.key_name, provider.profile) == ("YOUR_AMI_ID", "YOUR_KEY_NAME", "default")
    assert (provider.instance_types, provider.walltime, provider.create_network) == (["t2.small"], 3600.0, True)


def test_parameters_by_position():
    from parsl.launchers import SingleNodeLauncher
    from parsl.providers.aws.aws import AWSProvider

    provider = AWSProvider(
        *("ami-1", "my-key", 2, 1, 5, 3, 0.5, "source env", "c5.large", "eu-west-1", 0.1, None, "work"),
        *("arn:aws:iam::1:instance-profile/p", None, "00:10:00", False, SingleNodeLauncher()),
    )
    assert (provider.init_blocks, provider.min_blocks, provider.max_blocks, provider.nodes_per_block) == (2, 1, 5, 3)
    assert (provider.instance_types, provider.region, provider.profile) == (["c5.large"], "eu-west-1", "work")
    assert (provider.spot, provider.spot_max_price, provider.spot_fallback) == (True, 0.1, False)
    assert (provider.instance_profile, provider.walltime) == ("arn:aws:iam::1:instance-profile/p", 600.0)


@pytest.mark.parametrize("options", [{"key_file": "keys.json"}, {"linger": True}])
def test_parameters_that_are_not_covered_are_named(options):
    from parsl.providers import AWSProvider

    with pytest.raises(NotCoveredError, match=next(iter(options))):
        AWSProvider("ami-1", "my-key", **options)

"""The table of prices: what it knows, what fits, and what a user's file changes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cnflow.budget.prices import (
    parse_table,
    price_table,
    rate_of,
    render_table,
    types_that_fit,
    user_file,
    vendored_table,
)
from cnflow.config import AzureProvider, GoogleCloudProvider
from cnflow.errors import ConfigurationError
from cnflow.model.machine import Rate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def write(path: Path, clouds: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"dated": "2026-01-01", "source": "the bill", "clouds": clouds}))


def test_rate_of_a_type_holds_price_and_size() -> None:
    assert rate_of("ec2", "us-east-1", "m5.xlarge") == Rate(0.192, 4, 0)
    assert rate_of("ec2", "us-east-1", "g4dn.xlarge") == Rate(0.526, 4, 1)


def test_spot_price_of_the_table_is_taken_where_it_has_one() -> None:
    spot = rate_of("gce", "us-central1", "e2-standard-4", is_spot=True)
    full = rate_of("gce", "us-central1", "e2-standard-4")
    assert spot.usd_per_hour is not None
    assert full.usd_per_hour is not None
    assert spot.usd_per_hour < full.usd_per_hour / 2


def test_spot_machine_without_a_spot_price_is_estimated_by_the_full_price() -> None:
    assert rate_of("ec2", "us-east-1", "m5.xlarge", is_spot=True) == rate_of("ec2", "us-east-1", "m5.xlarge")


def test_type_region_or_cloud_that_the_table_lacks_has_no_price() -> None:
    assert rate_of("ec2", "us-east-1", "x99.large") == Rate()
    assert rate_of("ec2", "moon-1", "m5.xlarge") == Rate(None, 4, 0)
    assert rate_of("nimbus", "us-east-1", "m5.xlarge") == Rate()


@pytest.mark.parametrize(("cloud", "region"), [("ec2", "eu-west-1"), ("gce", "europe-west1"), ("azure", "westeurope")])
def test_types_that_fit_are_big_enough_and_cheapest_first(cloud: str, region: str) -> None:
    names = types_that_fit(cloud, region, cores=4, memory="16GB")
    found = [vendored_table().clouds[cloud][name] for name in names]
    prices = [one.usd[region] for one in found]
    assert names
    assert prices == sorted(prices)
    assert all(one.cores >= 4 and one.gib * 2**30 >= 16e9 and not one.gpus for one in found)


def test_types_that_fit_have_gpus_where_some_are_asked_for() -> None:
    names = types_that_fit("ec2", "us-east-1", gpus=1)
    assert names[0] == "g4dn.xlarge"
    assert all(vendored_table().clouds["ec2"][name].gpus for name in names)


def test_burstable_types_are_never_proposed() -> None:
    assert not [name for name in types_that_fit("ec2", "us-east-1", cores=1) if name.startswith("t")]
    assert "e2-medium" not in types_that_fit("gce", "us-central1", cores=1)


def test_types_of_another_architecture_are_proposed_only_on_request() -> None:
    assert "m7g.large" not in types_that_fit("ec2", "us-east-1", cores=2)
    assert "m7g.large" in types_that_fit("ec2", "us-east-1", cores=2, architecture="arm64")


def test_users_file_changes_prices_and_adds_clouds() -> None:
    write(user_file(), {"ec2": {"m5.xlarge": [4, 16, 0, "x86_64", {"us-east-1": 0.1}, {"us-east-1": 0.04}]}})
    assert rate_of("ec2", "us-east-1", "m5.xlarge").usd_per_hour == 0.1
    assert rate_of("ec2", "us-east-1", "m5.xlarge", is_spot=True).usd_per_hour == 0.04
    assert rate_of("ec2", "us-west-2", "m5.xlarge").usd_per_hour == 0.192
    write(user_file(), {"openstack": {"m1.small": [1, 2, 0, "x86_64", {"*": 0.02}]}})
    os.utime(user_file(), ns=(1, 1))
    assert rate_of("openstack", "RegionOne", "m1.small") == Rate(0.02, 1, 0)
    assert types_that_fit("openstack", "RegionOne", cores=1) == ["m1.small"]


@pytest.mark.parametrize(
    "clouds", [[], {"ec2": {"m5.large": [1]}}, {"ec2": {"m5.large": [2, 8, 0, "x86_64", {"a": -1}]}}]
)
def test_users_file_that_is_no_table_is_an_error_that_shows_the_form(clouds: object) -> None:
    write(user_file(), clouds)
    with pytest.raises(ConfigurationError, match="is JSON of this form"):
        price_table()


def test_rendered_table_is_read_again_as_it_was() -> None:
    table = vendored_table()
    assert parse_table(render_table(table), "here") == table
    one = parse_table(render_table(table, only={("ec2", "m5.large")}), "here")
    assert list(one.clouds) == ["ec2"]
    assert list(one.clouds["ec2"]) == ["m5.large"]


def test_machine_with_attached_gpus_has_no_price_of_the_table() -> None:
    plain = GoogleCloudProvider(instance_types=["n1-standard-8"])
    attached = plain.model_copy(update={"accelerator_type": "nvidia-tesla-t4", "gpus": 1})
    assert plain.billing().rate.usd_per_hour
    assert attached.billing().rate.usd_per_hour is None
    paid = attached.model_copy(update={"price_per_hour": 0.8})
    assert paid.billing().rate == Rate(0.8, 8, 1)
    assert paid.billing().overhead.gpus == 0


def test_prices_of_azure_are_those_of_its_location() -> None:
    settings = AzureProvider(location="westeurope")
    assert settings.rate_of("Standard_D2s_v4") == rate_of("azure", "westeurope", "Standard_D2s_v4")
    assert settings.price_region == "westeurope"

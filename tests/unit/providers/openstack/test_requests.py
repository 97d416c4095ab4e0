import base64
from dataclasses import replace

import pytest

from cnflow.config import OpenStackProvider
from cnflow.model.machine import MachineRequest, Placement
from cnflow.providers.openstack.requests import Found, address_for, named_in, network_parts, rules_of, server_for
from cnflow.providers.openstack.tags import description_of, is_described, server_tag

TAGS = {"cnflow-run": "r1", "cnflow-executor": "cloud", "cnflow-role": "block"}
REQUEST = MachineRequest(
    name="run-1-block-0-0",
    token="t0",
    placement=Placement("m1.small", "nova"),
    tags=TAGS,
    user_data="#!/bin/sh\necho hi\n",
)
FOUND = Found("image-id", flavors={"m1.small": "2"}, networks=["net-id"], security_groups=["workers"])


def test_request_for_a_server_has_ids_tags_and_encoded_user_data():
    settings = OpenStackProvider(image_id="Debian*", key_name="ann", tags={"project": "x"})
    assert server_for(REQUEST, settings, FOUND) == {
        "server": {
            "name": "run-1-block-0-0",
            "flavorRef": "2",
            "metadata": {"project": "x", **TAGS, "cnflow-token": "t0"},
            "tags": ["cnflow-token=t0", "cnflow-executor=cloud", "cnflow-role=block", "cnflow-run=r1"],
            "user_data": base64.b64encode(REQUEST.user_data.encode()).decode(),
            "networks": [{"uuid": "net-id"}],
            "imageRef": "image-id",
            "security_groups": [{"name": "workers"}],
            "key_name": "ann",
            "availability_zone": "nova",
        }
    }


def test_network_is_left_to_the_cloud_where_none_is_named():
    bare = replace(REQUEST, placement=Placement("m1.small"))
    server = server_for(bare, OpenStackProvider(image_id="x"), Found("image-id"))["server"]
    assert server["networks"] == "auto"
    assert not {"security_groups", "availability_zone", "key_name"} & server.keys()


def test_disk_size_makes_a_volume_that_is_deleted_with_its_server():
    settings = OpenStackProvider(image_id="x", disk_size=40, volume_type="ssd")
    server = server_for(REQUEST, settings, FOUND)["server"]
    assert "imageRef" not in server
    [volume] = server["block_device_mapping_v2"]
    assert volume["volume_size"] == 40
    assert volume["volume_type"] == "ssd"
    assert volume["delete_on_termination"] is True


def test_server_group_drive_and_fields_of_the_user_are_in_the_request():
    settings = OpenStackProvider(image_id="x", server_group="g1", config_drive=True, server={"description": "mine"})
    body = server_for(REQUEST, settings, FOUND)
    assert body["os:scheduler_hints"] == {"group": "g1"}
    assert body["server"]["config_drive"] is True
    assert body["server"]["description"] == "mine"


def test_preview_has_names_in_place_of_ids():
    settings = OpenStackProvider(image_id="Debian*", networks=["campus"])
    server = server_for(REQUEST, settings, named_in(settings))["server"]
    assert (server["imageRef"], server["flavorRef"], server["networks"]) == (
        "Debian*",
        "m1.small",
        [{"uuid": "campus"}],
    )


@pytest.mark.parametrize("value", ["short", "x" * 63])
def test_tag_of_a_server_has_60_characters_at_most_and_differs_for_different_values(value):
    tag = server_tag("cnflow-executor", value)
    assert len(tag) <= 60
    assert tag != server_tag("cnflow-executor", value + "y")


def test_description_fits_into_neutron_and_finds_its_tags():
    names = ("run", "executor", "owner", "role", "block", "rank", "expires")
    tags = {f"cnflow-{name}": "x" * 63 for name in names}
    description = description_of(tags)
    assert len(description) <= 255
    assert is_described(description, {"cnflow-run": "x" * 63})
    assert not is_described(description, {"cnflow-run": "x" * 62})
    assert not is_described("", {"cnflow-run": "x"})


def test_every_part_of_a_network_carries_the_tags():
    parts = network_parts(TAGS, "cnflow-ann", "outside")
    assert list(parts) == ["network", "subnet", "router", "security_group"]
    assert all(is_described(part["description"], TAGS) for part in parts.values())
    assert parts["router"]["external_gateway_info"] == {"network_id": "outside"}


def test_group_opens_ssh_to_everybody_and_all_else_to_its_own_machines():
    inside, ssh = rules_of("g1")
    assert (inside["remote_group_id"], "protocol" in inside) == ("g1", False)
    assert (ssh["port_range_min"], ssh["port_range_max"], ssh["protocol"]) == (22, 22, "tcp")


def test_floating_address_carries_the_tags():
    assert address_for(TAGS, "outside", "port-1") == {
        "floating_network_id": "outside",
        "port_id": "port-1",
        "description": "cnflow-run=r1 cnflow-executor=cloud cnflow-role=block",
    }

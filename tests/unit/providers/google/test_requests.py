"""Requests to Compute Engine, without any."""

import subprocess

import pytest
from inline_snapshot import snapshot

from cnflow.config import GoogleCloudProvider
from cnflow.config.google_cloud_end import end_commands
from cnflow.errors import ConfigurationError
from cnflow.model.machine import MachineRequest, Placement
from cnflow.providers.google import requests

TAGS = {"cnflow-run": "r1", "cnflow-owner": "me-host"}


def request(kind="e2-standard-4", *, spot=False, **options):
    return MachineRequest("cnflow-a-0", "token", Placement(kind, "us-central1-b", spot), TAGS, "#!/bin/sh\n", **options)


def instance(asked=None, **options):
    return requests.instance_for(asked or request(), GoogleCloudProvider(**options))


def test_instance_of_usual_settings():
    assert instance() == snapshot(
        {
            "name": "cnflow-a-0",
            "machineType": "zones/us-central1-b/machineTypes/e2-standard-4",
            "labels": {"cnflow-run": "r1", "cnflow-owner": "me-host"},
            "metadata": {
                "items": [
                    {"key": "startup-script", "value": "#!/bin/sh\n"},
                    {"key": "enable-oslogin", "value": "FALSE"},
                    {"key": "block-project-ssh-keys", "value": "TRUE"},
                ]
            },
            "scheduling": {"automaticRestart": False, "onHostMaintenance": "MIGRATE"},
            "disks": [
                {
                    "boot": True,
                    "autoDelete": True,
                    "initializeParams": {
                        "sourceImage": "projects/debian-cloud/global/images/family/debian-12",
                        "diskType": "zones/us-central1-b/diskTypes/pd-balanced",
                    },
                }
            ],
            "networkInterfaces": [
                {
                    "network": "global/networks/default",
                    "accessConfigs": [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}],
                }
            ],
            "serviceAccounts": [{"email": "default", "scopes": ["https://www.googleapis.com/auth/compute"]}],
        }
    )


def test_spot_machine_is_deleted_when_it_is_taken_back():
    assert instance(request(spot=True))["scheduling"] == {
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
        "provisioningModel": "SPOT",
        "instanceTerminationAction": "DELETE",
    }


@pytest.mark.parametrize(("seconds", "sent"), [(1.0, "30"), (99.2, "100"), (1e9, str(120 * 24 * 3600))])
def test_longest_life_is_within_what_the_service_takes(seconds, sent):
    scheduling = instance(request(longest_life=seconds))["scheduling"]
    assert (scheduling["maxRunDuration"], scheduling["instanceTerminationAction"]) == ({"seconds": sent}, "DELETE")


def test_gpus_are_attached_and_forbid_migration():
    made = instance(request("n1-standard-8"), gpus=2, accelerator_type="nvidia-tesla-t4")
    kind = "zones/us-central1-b/acceleratorTypes/nvidia-tesla-t4"
    assert made["guestAccelerators"] == [{"acceleratorType": kind, "acceleratorCount": 2}]
    assert made["scheduling"]["onHostMaintenance"] == "TERMINATE"


def test_options_of_the_user_are_merged():
    made = instance(
        tags={"team": "x"},
        disk_size=50,
        network_tags=["web"],
        public_addresses=False,
        instance_options={"minCpuPlatform": "Intel Ice Lake", "scheduling": {"onHostMaintenance": "TERMINATE"}},
    )
    assert made["labels"] == {"team": "x", **TAGS}
    assert made["disks"][0]["initializeParams"]["diskSizeGb"] == "50"
    assert made["tags"] == {"items": ["web"]}
    assert "accessConfigs" not in made["networkInterfaces"][0]
    assert made["minCpuPlatform"] == "Intel Ice Lake"
    assert made["scheduling"] == {"automaticRestart": False, "onHostMaintenance": "TERMINATE"}


def test_machine_of_the_interchange_is_reached_by_ssh_at_the_same_address():
    made = instance(request(is_interchange=True, private_address="10.128.0.9"), public_addresses=False)
    (interface,) = made["networkInterfaces"]
    assert (interface["networkIP"], len(interface["accessConfigs"])) == ("10.128.0.9", 1)
    assert made["tags"] == {"items": [requests.SSH_TAG]}


def test_template_gives_what_the_settings_do_not_set():
    made = instance(instance_template="mine")
    assert not {"disks", "networkInterfaces", "serviceAccounts"} & made.keys()
    made = instance(instance_template="mine", machine_image="projects/p/global/images/i", subnetwork="s")
    assert made["disks"][0]["initializeParams"]["sourceImage"] == "projects/p/global/images/i"
    assert made["networkInterfaces"][0]["subnetwork"] == "regions/us-central1/subnetworks/s"
    settings = GoogleCloudProvider(instance_template="mine")
    assert requests.template_url(settings, "p") == "projects/p/global/instanceTemplates/mine"


def test_own_network_lets_ssh_to_the_interchange_alone():
    network, (inside, ssh) = requests.network_for(TAGS), requests.firewalls_for(TAGS)
    assert network["name"] == "cnflow-me-host"
    assert inside["sourceRanges"] == ["10.128.0.0/9"]
    assert (ssh["targetTags"], ssh["allowed"]) == ([requests.SSH_TAG], [{"IPProtocol": "tcp", "ports": ["22"]}])
    assert instance(create_network=True)["networkInterfaces"][0]["network"] == "global/networks/cnflow-me-host"


def test_resources_without_labels_are_told_by_their_description():
    description = requests.description_for(TAGS)
    assert requests.is_tagged(description, TAGS)
    assert not requests.is_tagged(description, {"cnflow-owner": "another"})
    assert not any(requests.is_tagged(text, TAGS) for text in ("", "[]", "Default network for the project"))


def test_ids_of_requests_follow_from_the_token_and_the_failed_attempt():
    assert requests.request_id("a") == requests.request_id("a")
    assert len({requests.request_id("a"), requests.request_id("b"), requests.request_id("a", "operation-1")}) == 3


def test_filter_asks_for_all_labels():
    assert requests.labels_filter(TAGS) == '(labels.cnflow-owner = "me-host") AND (labels.cnflow-run = "r1")'


def test_end_commands_are_a_shell_script_and_need_an_account():
    subprocess.run(["sh", "-n", "-c", end_commands()], check=True)
    assert "https://compute.googleapis.com/compute/v1/" in GoogleCloudProvider().end_commands()
    assert GoogleCloudProvider(service_account=None).end_commands() == ""
    assert len(end_commands().encode()) < 1500  # of the 16 KB of user data


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"zones": ["europe-west1-b"]}, "is not in region='us-central1'"),
        ({"region": "US"}, "no name of a region"),
        ({"network_tags": ["Web"]}, "a tag has lower-case letters"),
        ({"tags": {"Owner": "ada"}}, "'Owner': 'ada' is no label"),
        ({"accelerator_type": "nvidia-tesla-t4"}, "set gpus="),
        ({"instance_options": {"minCpuPlatfrom": "x"}}, "Did you mean 'minCpuPlatform'"),
        ({"instance_options": {"labels": {}}}, "instance_options cannot set 'labels'"),
        ({"create_network": True, "network": "n"}, "create_network=True makes a network"),
    ],
)
def test_settings_that_contradict_are_refused(options, words):
    with pytest.raises(ConfigurationError, match=words):
        GoogleCloudProvider(**options)

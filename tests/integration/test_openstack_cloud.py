"""The SDK against the stand-in of OpenStack: launches, lost answers, capacity, quota, throttling, logins, networks."""

import threading
from dataclasses import replace

import pytest

from cnflow.config import OpenStackProvider
from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError
from cnflow.model.finding import Verdict
from cnflow.model.machine import MachineRequest, MachineState, Placement
from cnflow.providers._shared.machines.tags import EXPIRES, OWNER, ROLE, RUN, network_tags, owner
from cnflow.providers.openstack import client as client_module
from cnflow.providers.openstack.cloud import OpenStackCloud
from tests.services.openstack.server import Fault, OpenStackServer
from tests.waiting import wait_until

TAGS = {RUN: "r1", "cnflow-executor": "x" * 63, ROLE: "block"}
REQUEST = MachineRequest("cnflow-a-0", "t0", Placement("m1.tiny"), TAGS, "#!/bin/sh\necho hi\n")
INTERCHANGE = replace(REQUEST, name="cnflow-a-i", token="ti", tags={**TAGS, ROLE: "interchange"}, is_interchange=True)


@pytest.fixture
def server(monkeypatch):
    with OpenStackServer() as server:
        for name, value in server.variables().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nonexistent")
        yield server


@pytest.fixture
def make_cloud():
    made = []

    def make(**options):
        cloud = OpenStackCloud(OpenStackProvider(**{"image_id": "Debian 12", **options}))
        made.append(cloud)
        cloud.prepare(network_tags())
        return cloud

    yield make
    for cloud in made:
        cloud.close()


@pytest.fixture
def cloud(server, make_cloud):
    return make_cloud()


def states(cloud, tags=TAGS):
    return {machine.id: machine.state for machine in cloud.list(tags)}


def is_running(cloud):
    return [*states(cloud).values()] == [MachineState.RUNNING]


def test_machine_is_launched_listed_and_terminated(server, cloud):
    machine = cloud.launch(REQUEST)
    assert machine.state in {MachineState.PENDING, MachineState.RUNNING}
    assert machine.tags.items() >= TAGS.items()
    wait_until(lambda: is_running(cloud))
    [listed] = cloud.list(TAGS)
    assert (listed.placement.instance_type, listed.placement.rate.cores) == ("m1.tiny", 1.0)
    assert listed.private_address
    assert cloud.terminate([machine.id, "no-such-server"]) == {}
    assert states(cloud) == {machine.id: MachineState.ENDED}
    assert server.nova.alive() == []


def test_machines_of_other_tags_are_never_listed(cloud):
    cloud.launch(REQUEST)
    assert cloud.list({RUN: "r2"}) == []
    assert cloud.list({**TAGS, "cnflow-executor": "x" * 62 + "y"}) == []


def test_repeated_request_returns_the_same_machine(server, cloud):
    assert cloud.launch(REQUEST).id == cloud.launch(REQUEST).id
    assert len(server.nova.alive()) == 1


@pytest.mark.parametrize("status", [0, 500, 503])
def test_lost_answer_starts_one_machine(server, cloud, status):
    server.faults.append(Fault("POST", r"/servers$", status, is_late=True))
    with pytest.raises(BlockError) as caught:
        cloud.launch(REQUEST)
    assert type(caught.value) is BlockError
    assert cloud.launch(REQUEST).id in states(cloud)
    assert len(server.nova.alive()) == 1


def test_zone_without_room_is_no_capacity_and_leaves_nothing(server, cloud):
    server.nova.room = 0
    with pytest.raises(NoCapacityError, match=r"no host with room for m1.tiny: No valid host was found"):
        cloud.launch(REQUEST)
    assert server.nova.alive() == []
    east = replace(REQUEST, token="t1", placement=Placement("m1.tiny", "east"))
    assert cloud.launch(east).placement.zone == "east"


def test_used_up_quota_is_told_from_lack_of_rights(server, cloud):
    server.nova.limits["maxTotalInstances"] = 0
    with pytest.raises(QuotaError, match="Quota exceeded for instances"):
        cloud.launch(REQUEST)
    server.faults.append(Fault("POST", r"/servers$", 403, "Policy doesn't allow os_compute_api:servers:create"))
    with pytest.raises(BlockRejectedError, match="Policy doesn't allow"):
        cloud.launch(REQUEST)


def test_throttled_request_is_repeated(server, cloud):
    server.faults.append(Fault("POST", r"/servers$", 429, "Too many requests", times=2))
    cloud.launch(REQUEST)
    assert len(server.nova.alive()) == 1


def test_lasting_throttle_is_busy_and_starts_nothing(server, cloud, monkeypatch):
    monkeypatch.setattr(client_module, "_RETRIES", 1)
    server.faults.append(Fault("POST", r"/servers$", 429, "Too many requests", times=9))
    with pytest.raises(ProviderBusyError, match="limits requests"):
        cloud.launch(REQUEST)
    assert server.nova.alive() == []


@pytest.mark.parametrize("status", [0, 502, 503, 504])
def test_reading_survives_a_cloud_that_is_away_for_a_moment(server, cloud, status):
    cloud.launch(REQUEST)
    server.faults.append(Fault("GET", r"/servers/detail", status, times=2))
    assert len(cloud.list(TAGS)) == 1


def test_cloud_that_is_down_is_no_answer(server, cloud, monkeypatch):
    monkeypatch.setattr(client_module, "_RETRIES", 0)
    server.is_down = True
    for call in (lambda: cloud.launch(REQUEST), lambda: cloud.list(TAGS)):
        with pytest.raises(BlockError, match="does not answer") as caught:
            call()
        assert type(caught.value) is BlockError
    assert cloud.terminate(["s1"])["s1"]
    server.is_down = False
    assert cloud.list(TAGS) == []


def test_expired_token_is_renewed(server, cloud):
    server.expire_tokens()
    cloud.launch(REQUEST)
    assert server.counted("POST", "/auth/tokens") == 2


def test_wrong_password_is_refused_with_the_next_step(server, monkeypatch):
    monkeypatch.setenv("OS_PASSWORD", "wrong")
    cloud = OpenStackCloud(OpenStackProvider(image_id="Debian 12"))
    with pytest.raises(BlockRejectedError, match=r"(?s)login by the variables OS_.*openstack token issue") as caught:
        cloud.list(TAGS)
    assert "wrong" not in str(caught.value)


def test_unknown_entry_of_clouds_yaml_is_refused():
    cloud = OpenStackCloud(OpenStackProvider(image_id="Debian 12", cloud="mars"))
    with pytest.raises(BlockRejectedError, match="Cloud mars was not found"):
        cloud.placements()


def test_image_is_the_newest_of_those_with_such_a_name(server, make_cloud):
    server.glance.add("Debian 12", created_at="2027-01-01T00:00:00Z", status="queued")
    newest = server.glance.add("Debian 12", created_at="2026-06-01T00:00:00Z")
    assert make_cloud().image()["id"] == newest
    assert make_cloud(image_id="Deb*").image()["id"] == newest
    assert make_cloud(image_id="image-1").image()["id"] == "image-1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_id": "Debian 13"}, r"no image 'Debian 13'. Did you mean 'Debian 12'\?"),
        ({"image_id": ""}, "set image_id="),
        ({"networks": ["campu"]}, r"no network 'campu'. Did you mean 'campus'\?"),
    ],
)
def test_wrong_names_are_refused_before_anything_is_started(server, make_cloud, options, words):
    with pytest.raises(BlockRejectedError, match=words):
        make_cloud(**options)


def test_refusal_that_quotes_the_request_shows_no_user_data(server, make_cloud):
    cloud = make_cloud(server={"nonsense": 1})
    with pytest.raises(BlockRejectedError, match="'nonsense' was unexpected") as caught:
        cloud.launch(REQUEST)
    assert "IyEvYmluL3No" not in str(caught.value)


def test_machine_that_was_shut_off_is_ended_and_kept_with_its_console(server, cloud):
    machine = cloud.launch(REQUEST)
    wait_until(lambda: is_running(cloud))
    server.nova.halt(machine.id)
    [listed] = cloud.list(TAGS)
    assert (listed.state, listed.is_kept, listed.reason) == (MachineState.ENDED, True, "SHUTOFF")
    assert cloud.console(machine.id) == b""
    assert cloud.console("no-such-server") == b""


def test_lists_have_all_pages(server, cloud, monkeypatch):
    monkeypatch.setattr(client_module, "_PAGE", 2)
    for number in range(5):
        cloud.launch(replace(REQUEST, name=f"cnflow-a-{number}", token=f"t{number}"))
    assert len(cloud.list(TAGS)) == 5


def test_many_machines_are_launched_at_once(server, cloud):
    requests = [replace(REQUEST, name=f"cnflow-a-{number}", token=f"t{number}") for number in range(24)]
    threads = [threading.Thread(target=cloud.launch, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(states(cloud)) == 24


def test_interchange_has_a_floating_address_which_goes_with_its_machine(server, make_cloud):
    cloud = make_cloud(floating_network="outside", networks=["campus"])
    machine = cloud.launch(INTERCHANGE)
    wait_until(lambda: cloud.list(INTERCHANGE.tags)[0].state is MachineState.RUNNING)
    [listed] = cloud.list(INTERCHANGE.tags)
    assert listed.public_address.startswith("198.51.100.")
    assert listed.private_address != listed.public_address
    assert cloud.launch(INTERCHANGE).id == machine.id
    assert [kind for kind, _ in server.neutron.made()] == ["floatingip"]
    assert cloud.terminate([machine.id]) == {}
    assert server.neutron.made() == []


def test_machine_without_a_floating_address_is_not_left_behind(server, make_cloud):
    cloud = make_cloud(floating_network="outside")
    server.neutron.most["floatingip"] = 0
    with pytest.raises(QuotaError, match="floatingip"):
        cloud.launch(INTERCHANGE)
    assert server.nova.alive() == []


def test_address_whose_machine_was_deleted_by_somebody_else_is_removed(server, make_cloud):
    cloud = make_cloud(floating_network="outside")
    machine = cloud.launch(replace(INTERCHANGE, tags={**INTERCHANGE.tags, OWNER: owner()}))
    server.nova.handle("DELETE", f"/servers/{machine.id}", {}, None)
    assert [kind for kind, _ in server.neutron.made()] == ["floatingip"]
    assert len(cloud.shared(network_tags())) == 1
    assert len(cloud.remove_shared(network_tags())) == 1
    assert server.neutron.made() == []


def test_lack_of_room_is_told_though_the_failed_server_is_not_deleted(server, cloud):
    server.nova.room = 0
    server.faults.append(Fault("DELETE", "/servers/", 409, "locked", times=9))
    with pytest.raises(NoCapacityError, match="no host with room"):
        cloud.launch(REQUEST)
    [left] = cloud.list(TAGS)
    assert (left.state, left.is_kept) == (MachineState.ENDED, True)


def test_address_that_is_in_use_is_replaced_by_another(server, make_cloud):
    cloud = make_cloud(networks=["campus"])
    server.nova.taken.add("10.0.0.9")
    assert cloud.launch(replace(REQUEST, private_address="10.0.0.9")).id
    assert cloud.launch(replace(REQUEST, token="t1", private_address="10.0.0.8")).id
    asked = [body["server"]["networks"][0] for _, path, body in server.requests if path.endswith("/servers")]
    assert [each.get("fixed_ip") for each in asked] == ["10.0.0.9", None, "10.0.0.8"]


def test_network_is_made_once_for_all_runs_and_removed_when_it_is_empty(server, make_cloud):
    cloud, second = make_cloud(create_network=True), make_cloud(create_network=True)
    kinds = sorted(kind for kind, _ in server.neutron.made())
    assert kinds == ["network", "router", "security_group", "subnet"]
    machine = second.launch(REQUEST)
    assert cloud.remove_shared(network_tags()) == []
    second.terminate([machine.id])
    assert len(cloud.shared(network_tags())) == 4
    assert len(cloud.remove_shared(network_tags())) == 4
    assert server.neutron.made() == []


def test_networks_of_other_owners_stay(server, make_cloud):
    cloud = make_cloud(create_network=True)
    server.neutron.add("router", name="theirs", description="cnflow-owner=bob cnflow-role=network")
    server.neutron.add("network", name="other", description="a network of the campus")
    cloud.remove_shared(network_tags())
    assert {description for _, description in server.neutron.made()} == {
        "cnflow-owner=bob cnflow-role=network",
        "a network of the campus",
    }


class Killed(BaseException):
    """The driver is gone."""


class Mortal:
    """A client whose driver is killed after so many requests, each of which the cloud has carried out."""

    def __init__(self, client, requests):
        self.client, self.left = client, requests

    def request(self, *args, **options):
        answer = self.client.request(*args, **options)
        self.left -= 1
        if self.left < 0:
            raise Killed
        return answer

    def pages(self, *args, **options):
        return client_module.OpenStackClient.pages(self, *args, **options)


def test_driver_that_is_killed_at_any_request_leaves_nothing_without_tags(server, make_cloud):
    clean = make_cloud(floating_network="outside")
    server.nova.scheduling_time = 0.0
    requests = 0
    for requests in range(40):
        cloud = OpenStackCloud(OpenStackProvider(image_id="Debian 12", create_network=True, floating_network="outside"))
        cloud._client = Mortal(clean.client(), requests)
        is_done = False
        try:
            cloud.prepare(network_tags())
            cloud.launch(INTERCHANGE)
            is_done = True
        except Killed:
            pass
        made = [description for _, description in server.neutron.made()]
        assert all(OWNER in each or RUN in each for each in made), made
        clean.terminate([machine.id for machine in clean.list({RUN: "r1"})])
        clean.remove_shared(INTERCHANGE.tags)
        clean.remove_shared(network_tags())
        assert server.nova.alive() == []
        assert server.neutron.made() == []
        if is_done:
            break
    assert 12 < requests < 39


def test_findings_are_good_for_good_settings(server, make_cloud):
    cloud = make_cloud(networks=["campus"], floating_network="outside", key_name="ann")
    findings = cloud.check()
    assert [each.verdict for each in findings] == [Verdict.GOOD] * 6
    assert "room for 1 machines of m1.tiny" in findings[-1].found


def test_findings_name_what_is_wrong(server, make_cloud):
    server.nova.limits["maxTotalCores"] = 1
    wrong = OpenStackProvider(image_id="Debian 12", key_name="bob", networks=["mars"], max_blocks=2)
    cloud = OpenStackCloud(wrong)
    found = {each.about: each for each in cloud.check() if each.verdict is not Verdict.GOOD}
    assert found.keys() == {"OpenStack, networks", "OpenStack, key pair", "OpenStack, quota"}
    assert "max_blocks takes 2 more" in found["OpenStack, quota"].found
    assert EXPIRES not in str(found)

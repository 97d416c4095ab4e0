import pytest

from cnflow.model.block import EndCause
from cnflow.model.machine import MachineState, Rate
from cnflow.providers.openstack.servers import fault_of, machine_of

SERVER = {
    "id": "s1",
    "status": "ACTIVE",
    "metadata": {"cnflow-run": "r1"},
    "OS-EXT-STS:task_state": None,
    "OS-EXT-AZ:availability_zone": "nova",
    "OS-SRV-USG:launched_at": "2026-11-26T16:00:00.000000",
    "created": "2026-11-26T15:59:00Z",
    "accessIPv4": "",
    "flavor": {"original_name": "m1.small", "vcpus": 2, "ram": 2048, "disk": 20, "extra_specs": {}},
    "addresses": {
        "campus": [
            {"addr": "fd00::5", "version": 6, "OS-EXT-IPS:type": "fixed"},
            {"addr": "10.0.0.5", "version": 4, "OS-EXT-IPS:type": "fixed"},
            {"addr": "198.51.100.7", "version": 4, "OS-EXT-IPS:type": "floating"},
        ]
    },
}


def test_server_is_a_machine_with_its_tags_addresses_and_rate():
    machine = machine_of(SERVER, 0.25)
    assert (machine.id, machine.state, machine.tags) == ("s1", MachineState.RUNNING, {"cnflow-run": "r1"})
    assert (machine.private_address, machine.public_address) == ("10.0.0.5", "198.51.100.7")
    assert (machine.placement.instance_type, machine.placement.zone) == ("m1.small", "nova")
    assert machine.placement.rate == Rate(0.25, 2.0, 0.0)
    assert machine.launched_at == 1795708800.0
    assert machine.reason == ""


def test_fixed_address_is_the_public_one_where_there_is_no_other():
    addresses = {"campus": [{"addr": "10.0.0.5", "version": 4, "OS-EXT-IPS:type": "fixed"}]}
    assert machine_of({**SERVER, "addresses": addresses}).public_address == "10.0.0.5"
    assert machine_of({**SERVER, "addresses": addresses, "accessIPv4": "192.0.2.1"}).public_address == "192.0.2.1"
    assert machine_of({**SERVER, "addresses": {}}).private_address == ""


@pytest.mark.parametrize(
    ("status", "task", "state"),
    [
        ("BUILD", "scheduling", MachineState.PENDING),
        ("BUILD", "spawning", MachineState.PENDING),
        ("BUILD", "deleting", MachineState.STOPPING),
        ("ACTIVE", "deleting", MachineState.STOPPING),
        ("PAUSED", None, MachineState.RUNNING),
        ("HARD_REBOOT", "rebooting_hard", MachineState.RUNNING),
        ("SHUTOFF", None, MachineState.ENDED),
        ("SHELVED_OFFLOADED", None, MachineState.ENDED),
        ("ERROR", None, MachineState.ENDED),
        ("DELETED", None, MachineState.ENDED),
        ("UNKNOWN", None, MachineState.RUNNING),
    ],
)
def test_status_and_task_of_a_server_give_the_state_of_the_machine(status, task, state):
    machine = machine_of({**SERVER, "status": status, "OS-EXT-STS:task_state": task})
    assert machine.state is state
    assert state is MachineState.RUNNING or status in machine.reason


def test_fault_is_the_reason_of_a_server_in_error():
    fault = {"code": 500, "message": "No valid host was found. ", "created": "2026-11-26T16:00:00Z"}
    machine = machine_of({**SERVER, "status": "ERROR", "fault": fault, "OS-SRV-USG:launched_at": None})
    assert fault_of({"fault": fault}) == "No valid host was found."
    assert (machine.reason, machine.cause) == ("ERROR: No valid host was found.", None)


def test_error_of_a_server_that_ran_is_one_of_its_node():
    assert machine_of({**SERVER, "status": "ERROR", "fault": {"message": "host down"}}).cause is EndCause.NODE

"""Instances of Compute Engine as machines; errors; types and zones."""

import pytest

from cnflow.config import GoogleCloudProvider
from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError
from cnflow.model.block import EndCause
from cnflow.model.machine import MachineState, Rate
from cnflow.providers.google import instances, places
from cnflow.providers.google.checks import quota_for
from cnflow.providers.google.errors import Failure, error_for, failed_operation, is_transient

LINK = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a"
RUNNING = {
    "name": "a-0",
    "status": "RUNNING",
    "zone": LINK,
    "machineType": f"{LINK}/machineTypes/n2-standard-4",
    "labels": {"cnflow-run": "r"},
    "creationTimestamp": "2026-11-01T09:00:00.000-07:00",
    "scheduling": {"provisioningModel": "SPOT", "maxRunDuration": {"seconds": "100"}},
    "networkInterfaces": [{"networkIP": "10.0.0.2", "accessConfigs": [{"natIP": "34.1.2.3"}]}],
}


def machine_of(**changes):
    return instances.machine_of({**RUNNING, **changes}, lambda *_: Rate(0.1, 4))


def test_instance_becomes_a_machine():
    machine = machine_of()
    assert (machine.id, machine.state) == ("us-central1-a/a-0", MachineState.RUNNING)
    assert machine.placement == ("n2-standard-4", "us-central1-a", True, Rate(0.1, 4))
    assert (machine.private_address, machine.public_address) == ("10.0.0.2", "34.1.2.3")
    assert machine.launched_at == 1793548800.0
    assert instances.deadline_of(RUNNING) == 1793548900.0


@pytest.mark.parametrize(
    ("status", "state", "is_kept"),
    [
        ("PROVISIONING", MachineState.PENDING, False),
        ("STAGING", MachineState.PENDING, False),
        ("REPAIRING", MachineState.RUNNING, False),
        ("STOPPING", MachineState.STOPPING, True),
        ("TERMINATED", MachineState.ENDED, True),
        ("SUSPENDED", MachineState.ENDED, True),
        ("A_NEW_ONE", MachineState.PENDING, False),
    ],
)
def test_status_of_an_instance_is_a_state(status, state, is_kept):
    machine = machine_of(status=status)
    assert (machine.state, machine.is_kept) == (state, is_kept)


def test_first_operation_that_ended_a_machine_gives_the_cause():
    def operation(kind, minute):
        return {"operationType": kind, "insertTime": f"2026-11-01T09:{minute:02}:00.000-07:00", "user": "me"}

    preempted, deleted = operation("compute.instances.preempted", 1), operation("delete", 2)
    assert instances.end_of([deleted, operation("insert", 0), preempted])[0] is EndCause.PREEMPTED
    assert instances.end_of([deleted]) == (EndCause.USER, "it was deleted by me")
    assert instances.end_of([deleted], ["me"]) == (None, "the machine deleted itself")
    assert instances.end_of([operation("insert", 0)]) == (None, "")


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "m", 503), NoCapacityError),
        (Failure("QUOTA_EXCEEDED", "m", 403), QuotaError),
        (Failure("rateLimitExceeded", "m", 403), ProviderBusyError),
        (Failure("", "m", 429), ProviderBusyError),
        (Failure("", "no route"), BlockError),
        (Failure("backendError", "m", 503), BlockError),
        (Failure("forbidden", "m", 403), BlockRejectedError),
        (Failure("invalid", "m", 400), BlockRejectedError),
    ],
)
def test_failure_is_the_error_of_its_reason(failure, error):
    assert type(error_for(failure, "start a-0")) is error
    assert is_transient(failure) == (error in {ProviderBusyError, BlockError})


def test_error_names_reason_and_next_step():
    words = str(error_for(Failure("forbidden", "Required 'compute.instances.create' permission.", 403), "start a-0"))
    assert words.startswith("Compute Engine could not start a-0: Required 'compute.instances.create' permission. (for")
    assert "Compute Instance Admin" in words


def test_operation_without_errors_has_not_failed():
    assert failed_operation({"status": "DONE"}) is None
    failed = {"error": {"errors": [{"code": "X", "message": "m"}]}, "httpErrorStatusCode": 503}
    assert failed_operation(failed) == Failure("X", "m", 503)


def test_placements_try_spot_first_then_types_then_zones():
    settings = GoogleCloudProvider(instance_types=["n2-standard-2", "e2-standard-2"], spot=True)
    found = places.placements_of(settings, ["a", "b"])
    assert [(one.instance_type, one.zone, one.is_spot) for one in found[:3]] == [
        ("n2-standard-2", "a", True),
        ("n2-standard-2", "b", True),
        ("e2-standard-2", "a", True),
    ]
    assert [one.is_spot for one in found] == [True] * 4 + [False] * 4
    waits = settings.model_copy(update={"spot_fallback": False})
    assert [one.is_spot for one in places.placements_of(waits, ["a"])] == [True, True]


def test_types_by_need_are_few_and_the_cheapest_first():
    found = places.placements_of(GoogleCloudProvider(cores=4, memory="16g"), ["us-central1-a"])
    assert 1 <= len(found) <= 4
    prices = [one.rate.usd_per_hour for one in found]
    assert prices == sorted(prices)
    assert all(one.rate.cores >= 4 for one in found)


def test_need_that_no_type_has_is_refused():
    with pytest.raises(BlockRejectedError, match=r"no type of Compute Engine.*Set instance_types"):
        places.placements_of(GoogleCloudProvider(cores=100000), ["us-central1-a"])


def test_price_of_the_settings_wins():
    settings = GoogleCloudProvider(instance_types=["n2-standard-2"], price_per_hour=7)
    (found,) = places.placements_of(settings, ["us-central1-a"])
    assert (found.rate.usd_per_hour, found.rate.cores) == (7, 2)


def test_zones_that_are_down_are_left_out():
    zones = [{"name": f"us-central1-{letter}", "region": "x/us-central1", "status": "UP"} for letter in "ba"]
    down = {"name": "us-central1-c", "region": "x/us-central1", "status": "DOWN"}
    other = {"name": "us-east1-b", "region": "x/us-east1", "status": "UP"}
    assert places.zones_up([*zones, down, other], "us-central1") == ("us-central1-a", "us-central1-b")
    with pytest.raises(BlockRejectedError, match="no zone in region='mars-north1'"):
        places.zones_up(zones, "mars-north1")
    assert places.usual_zones("us-east1") == ("us-east1-b", "us-east1-c", "us-east1-d")


def test_quota_is_that_of_the_family_where_it_has_one():
    region = {"quotas": [{"metric": name} for name in ("CPUS", "N2_CPUS", "PREEMPTIBLE_CPUS")]}
    usual, spot = (places.Placement("n2-standard-2", "a", is_spot) for is_spot in (False, True))
    assert quota_for(usual, region) == "N2_CPUS"
    assert quota_for(spot, region) == "PREEMPTIBLE_CPUS"
    assert quota_for(usual._replace(instance_type="e2-small"), region) == "CPUS"

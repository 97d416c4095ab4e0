from datetime import timedelta

import pytest

from cnflow.config import Config, DockerProvider, HighThroughputExecutor, LocalProvider
from cnflow.errors import ConfigurationError
from cnflow.units import GIB

DURATIONS = [
    (Config, "max_idletime"),
    (Config, "adoptable_for"),
    (LocalProvider, "walltime"),
    (LocalProvider, "startup_timeout"),
    (HighThroughputExecutor, "drain_period"),
    (HighThroughputExecutor, "grace_period"),
    (HighThroughputExecutor, "interchange_grace"),
    (HighThroughputExecutor, "address_probe_timeout"),
    (HighThroughputExecutor, "heartbeat_threshold"),
]


@pytest.mark.parametrize(("settings", "option"), DURATIONS, ids=[name for _, name in DURATIONS])
def test_duration_is_seconds_or_has_colons_and_is_checked_at_once(settings, option):
    for written in (90, "90", "90.0", "00:01:30", "1:30", "0:1:30", timedelta(minutes=1, seconds=30)):
        assert getattr(settings(**{option: written}), option) == 90
    for wrong in ("2 hours", "1:30:", "00:61:00", "1:75", "", "0:0:99"):
        with pytest.raises(ConfigurationError) as refused:
            settings(**{option: wrong})
        assert f"{option}: must be seconds or 'HH:MM:SS', such as 90 or '00:01:30', not {wrong!r}" in str(refused.value)


@pytest.mark.parametrize("option", ["max_idletime", "adoptable_for"])
def test_duration_without_an_amount_is_refused(option):
    for wrong in (-1, float("nan"), "-1", "nan"):
        with pytest.raises(ConfigurationError, match=option):
            Config(**{option: wrong})


@pytest.mark.parametrize("size", ["4 gigs", "4x", "", "-1g", "g", 0, -5, "lots"])
def test_memory_of_a_container_is_checked_when_it_is_written(size):
    with pytest.raises(ConfigurationError) as refused:
        DockerProvider(memory=size)
    example = "must be a number of bytes above 0 or a text such as '4GB' or '512MiB'"
    assert str(refused.value) == f"DockerProvider: memory: {example}, not {size!r}"


@pytest.mark.parametrize("size", ["4g", "4 GB", "512MiB", 10**9, "1.5g"])
def test_memory_of_a_container_is_kept_as_it_was_written(size):
    assert DockerProvider(memory=size).memory == size


def test_memory_of_a_worker_is_gibibytes_or_has_a_unit():
    for written, gibibytes in ((2, 2), ("2", 2), ("2GiB", 2), ("512MiB", 0.5), ("1GB", 10**9 / GIB)):
        assert HighThroughputExecutor(mem_per_worker=written).mem_per_worker == gibibytes
    for wrong in ("2 gigs", 0, "0GB", float("inf"), "inf"):
        with pytest.raises(ConfigurationError, match="mem_per_worker"):
            HighThroughputExecutor(mem_per_worker=wrong)


def test_limit_of_a_result_may_have_a_unit():
    assert HighThroughputExecutor(max_result_size="8GiB").max_result_size == 8 * GIB
    with pytest.raises(
        ConfigurationError, match="max_result_size: must be a number of bytes above 0 or a text such as"
    ):
        HighThroughputExecutor(max_result_size="8 gigs")


def test_sizes_passed_on_to_docker_are_checked_by_its_rules():
    sizes = {"shm_size": "1g", "mem_reservation": "512mb", "memswap_limit": -1}
    assert DockerProvider(create=sizes).create == sizes
    with pytest.raises(ConfigurationError, match="create: shm_size='1 gig' is no size for Docker"):
        DockerProvider(create={"shm_size": "1 gig"})


def test_number_of_cores_is_finite():
    for make in (
        lambda: DockerProvider(cpus=float("inf")),
        lambda: HighThroughputExecutor(cores_per_worker=float("inf")),
    ):
        with pytest.raises(ConfigurationError, match="finite"):
            make()


def test_target_of_a_mount_is_absolute():
    with pytest.raises(ConfigurationError, match="write an absolute path in the container"):
        DockerProvider(mounts={"/data": "data"})

"""What differs between engines behind the same API: which one answers, and what it is asked in its own words."""

import pytest

from cnflow.errors import BlockRejectedError
from cnflow.providers.docker.dialect import adapt, bind_sources, dialect_of, short_name


def podman(version):
    return dialect_of({"Version": version, "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]})


DOCKER = dialect_of({"Version": "20.10.24+dfsg1", "Components": [{"Name": "Engine"}]})


def test_podman_is_known_by_its_first_component_and_any_other_engine_is_taken_for_docker():
    assert (podman("4.3.1").engine, podman("4.3.1").version) == ("podman", (4, 3, 1))
    assert (DOCKER.engine, DOCKER.version) == ("docker", (20, 10, 24))
    assert dialect_of({}).engine == "docker"


@pytest.mark.parametrize(
    ("request_", "devices"),
    [
        ({"count": -1, "capabilities": [["gpu"]]}, ["nvidia.com/gpu=all"]),
        ({"count": 2, "capabilities": [["gpu"]]}, ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]),
        ({"device_ids": ["3", "GPU-1a"], "capabilities": [["gpu"]]}, ["nvidia.com/gpu=3", "nvidia.com/gpu=GPU-1a"]),
    ],
    ids=["all", "count", "ids"],
)
def test_gpus_are_devices_of_the_container_device_interface_for_podman(request_, devices):
    wanted = {"image": "a", "device_requests": [request_]}
    assert adapt(wanted, podman("5.4.0"))["device_requests"] == [{"driver": "cdi", "device_ids": devices}]
    assert adapt(wanted, DOCKER) == wanted


def test_request_of_the_user_for_devices_of_a_driver_is_left_as_it_is():
    wanted = {"device_requests": [{"driver": "cdi", "device_ids": ["amd.com/gpu=0"]}]}
    assert adapt(wanted, podman("5.4.0")) == wanted


def test_gpus_are_refused_where_podman_would_ignore_them():
    with pytest.raises(BlockRejectedError, match=r"needs Podman 5\.4 or newer: Podman 4\.3\.1 gives no GPU"):
        adapt({"device_requests": [{"count": 1}]}, podman("4.3.1"))
    assert adapt({"image": "a"}, podman("4.3.1")) == {"image": "a"}


def test_only_bind_mounts_have_a_source_that_must_exist():
    mounts = [
        {"Type": "bind", "Source": "/a", "Target": "/x"},
        {"Type": "volume", "Source": "v", "Target": "/y"},
        {"Type": "tmpfs", "Target": "/z"},
    ]
    assert bind_sources({"mounts": mounts}) == [("/a", "/x")]
    assert bind_sources({}) == []


@pytest.mark.parametrize("name", ["app:1", "localhost/app:1", "docker.io/library/app:1"])
def test_name_of_an_image_without_a_registry_is_shown_as_it_may_be_written(name):
    assert short_name(name) == "app:1"
    assert short_name("docker.io/me/app:1") == "docker.io/me/app:1"

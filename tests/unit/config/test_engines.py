"""Which engine a provider means: by its options, variables, and the sockets that are there."""

import pytest

from cnflow.config import DockerProvider
from cnflow.config.engines import find_engine, find_other, usual_sockets
from cnflow.errors import ConfigurationError

DOCKER, PODMAN, ROOTLESS = "/var/run/docker.sock", "/run/podman/podman.sock", "/run/user/7/podman/podman.sock"


def find(host=None, engine=None, there=(), **variables):
    return find_engine(host, engine, {"XDG_RUNTIME_DIR": "/run/user/7", **variables}, set(there).__contains__)


@pytest.mark.parametrize(
    ("host", "engine", "there", "variables", "url", "expected"),
    [
        ("tcp://h:1", None, [DOCKER], {"DOCKER_HOST": "tcp://d:1"}, "tcp://h:1", None),
        ("tcp://h:1", "podman", [], {"CONTAINER_HOST": "tcp://p:1"}, "tcp://h:1", "podman"),
        (None, None, [DOCKER], {"DOCKER_HOST": "tcp://d:1", "CONTAINER_HOST": "tcp://p:1"}, "tcp://d:1", None),
        (None, None, [DOCKER], {"CONTAINER_HOST": "tcp://p:1"}, "tcp://p:1", "podman"),
        (None, "docker", [DOCKER], {"CONTAINER_HOST": "tcp://p:1"}, f"unix://{DOCKER}", "docker"),
        (None, "docker", [], {"DOCKER_HOST": "tcp://d:1"}, "tcp://d:1", "docker"),
        (None, "podman", [ROOTLESS], {"DOCKER_HOST": "tcp://d:1"}, f"unix://{ROOTLESS}", "podman"),
        (None, None, [DOCKER, ROOTLESS], {}, f"unix://{DOCKER}", "docker"),
        (None, None, [ROOTLESS], {}, f"unix://{ROOTLESS}", "podman"),
        (None, None, [PODMAN], {}, f"unix://{PODMAN}", "podman"),
        (None, None, [], {}, f"unix://{DOCKER}", "docker"),
        (None, None, [], {"DOCKER_HOST": ""}, f"unix://{DOCKER}", "docker"),
        (None, "podman", [], {"CONTAINER_HOST": "unix:/p.sock"}, "unix:///p.sock", "podman"),
    ],
    ids=str,
)
def test_engine_is_that_of_the_option_then_the_variable_then_the_first_socket_that_is_there(
    host, engine, there, variables, url, expected
):
    found = find(host, engine, there, **variables)
    assert (found.url, found.engine) == (url, expected)


def test_address_names_what_it_comes_from():
    assert find("tcp://h:1").source == "DockerProvider(host)"
    assert find(CONTAINER_HOST="tcp://p:1").source == "CONTAINER_HOST"
    assert find(there=[ROOTLESS]).source == "the usual socket of Podman"


def test_socket_of_a_user_precedes_that_of_root_for_podman_alone():
    variables = {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert usual_sockets("podman", variables, uid=7) == (ROOTLESS, PODMAN)
    assert usual_sockets("podman", variables, uid=0) == (PODMAN, ROOTLESS)
    assert usual_sockets("docker", {}, uid=7) == (DOCKER, "/run/user/7/docker.sock")


def test_engine_of_another_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="'docker' or 'podman'"):
        DockerProvider(engine="rkt")


def test_folders_are_mounted_where_the_engine_of_container_host_is_behind_a_socket(monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("CONTAINER_HOST", "unix:///run/podman/podman.sock")
    assert DockerProvider().shares_folders
    monkeypatch.setenv("CONTAINER_HOST", "ssh://me@big/run/podman/podman.sock")
    assert not DockerProvider().shares_folders
    assert not DockerProvider(engine="podman").shares_folders


def test_another_engine_of_this_machine_is_found_for_advice():
    asked = find("tcp://h:1")
    variables = {"XDG_RUNTIME_DIR": "/run/user/7"}
    other = find_other(asked, variables, {ROOTLESS}.__contains__)
    assert (other.url, other.engine) == (f"unix://{ROOTLESS}", "podman")
    assert find_other(other, variables, {ROOTLESS}.__contains__) is None

"""Messages about engines that do not answer, or are not what an address promises."""

import pytest

from cnflow.config import DockerProvider
from cnflow.config.engines import EngineAddress
from cnflow.errors import BlockError, BlockRejectedError
from cnflow.providers.docker.client import Engine, failures


@pytest.fixture(autouse=True)
def other(monkeypatch):
    """Lets a socket of Docker be there, besides the address that is tried."""
    for name in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.delenv(name, raising=False)
    there = EngineAddress("unix:///var/run/docker.sock", "the usual socket of Docker", "docker")
    monkeypatch.setattr(failures, "find_other", lambda _: there)


def message(settings):
    with pytest.raises(BlockError) as failed:
        Engine(settings)
    return str(failed.value)


def test_another_engine_is_named_by_options_that_count_before_the_address_that_failed():
    address = EngineAddress("unix:///no-such.sock", "DOCKER_HOST", "docker")
    with pytest.raises(BlockError) as failed, failures.answering(address):
        raise ConnectionRefusedError("refused")
    assert "DockerProvider(engine='docker', host='unix:///var/run/docker.sock')" in str(failed.value)


def test_malformed_address_is_not_taken_for_an_engine_that_has_to_be_started(monkeypatch):
    monkeypatch.setenv("CONTAINER_HOST", "banana")
    text = message(DockerProvider())
    assert "Correct CONTAINER_HOST: an address is such as unix:///run/podman/podman.sock" in text
    assert "systemctl" not in text


def test_socket_behind_ssh_is_to_be_forwarded(monkeypatch):
    monkeypatch.setenv("CONTAINER_HOST", "ssh://root@big/run/podman/podman.sock")
    assert "ssh -nNT -L /tmp/engine.sock:/run/podman/podman.sock USER@HOST" in message(DockerProvider())


@pytest.mark.docker
def test_docker_behind_container_host_is_refused_with_what_to_change(monkeypatch):
    monkeypatch.setenv("CONTAINER_HOST", "unix:///var/run/docker.sock")
    with pytest.raises(BlockRejectedError, match="unset CONTAINER_HOST"):
        Engine(DockerProvider())
    monkeypatch.delenv("CONTAINER_HOST")
    with pytest.raises(BlockRejectedError, match="leave out engine='podman'"):
        Engine(DockerProvider(engine="podman", host="unix:///var/run/docker.sock"))

"""Which engine answers, by its description of itself."""

from cnflow.providers.docker.dialect import DOCKER, PODMAN, dialect_of


def test_podman_is_known_by_its_first_component():
    assert dialect_of({"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}]}) is PODMAN


def test_every_other_engine_is_taken_for_docker():
    assert dialect_of({"Components": [{"Name": "Engine"}]}) is DOCKER
    assert dialect_of({}) is DOCKER

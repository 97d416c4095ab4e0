"""Fixtures shared by the tests of services."""

import pytest

from cnflow.config import DockerProvider
from cnflow.providers.docker.client import Engine
from cnflow.providers.docker.images import find_image


@pytest.fixture
def found_image():
    """Finds and probes an image: ``found_image(name, cache=None)``."""

    def find(name, cache=None):
        connected = Engine(DockerProvider())
        try:
            return find_image(connected, name, cache)
        finally:
            connected.close()

    return find


@pytest.fixture
def python_of(found_image):
    """Gives the minor version of an image's Python."""
    return lambda name: found_image(name).kind.python

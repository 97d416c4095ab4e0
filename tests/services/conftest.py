"""Fixtures shared by the tests of services."""

import fcntl
import io
import os
import pwd
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from cnflow.config import DockerProvider
from cnflow.model.image import Image
from cnflow.providers.docker.client import Engine
from cnflow.providers.docker.images import find_image
from tests.conftest import PODMAN, ROOTLESS_USER, load_image, rootless_socket
from tests.services.ec2_cloud import EC2
from tests.services.gce_cloud import Gce
from tests.services.helm_release import RESTRICTED, SERVER_IMAGE, Release
from tests.services.registries import Proxy, Registries
from tests.services.sshd_server import Sshd


@pytest.fixture
def found_image():
    """Finds and probes an image: ``found_image(name, cache=None)``."""

    def find(name, cache=None):
        connected = Engine(DockerProvider())
        try:
            return find_image(connected, Image(name), cache)
        finally:
            connected.close()

    return find


@pytest.fixture
def python_of(found_image):
    """Gives the minor version of an image's Python."""
    return lambda name: found_image(name).kind.python


@pytest.fixture
def registries(engine):
    """Registries of images; those of the test are removed from the engine at its end. For the marker ``registry``."""
    made = Registries(engine)
    yield made
    made.remove()


@pytest.fixture
def release(cluster, tmp_path, pod_image):
    """A release of the chart, not installed yet, in a namespace of its own. For the marker ``helm``."""
    cluster.load_image(SERVER_IMAGE)
    with cluster.namespace(**RESTRICTED) as namespace:
        yield Release(cluster, namespace, tmp_path)


@pytest.fixture
def sshd(tmp_path):
    """An sshd of the test's own. For the marker ``sshd``."""
    server = Sshd(tmp_path / "sshd")
    yield server
    server.stop()


@pytest.fixture
def bad_registry(registries):
    """A proxy before the plain registry, which changes its replies."""
    proxy = Proxy(registries.plain)
    yield proxy
    proxy.close()


@pytest.fixture
def ec2(monkeypatch):
    """The stand-in of EC2, with a key of the test's own in its environment. For the marker ``ec2``."""
    found = EC2()
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    yield found
    found.remove()


@pytest.fixture
def gce(monkeypatch, tmp_path):
    """The stand-in of Compute Engine, with a project and credentials of the test's own. For the marker ``gce``."""
    found = Gce(tmp_path)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    yield found
    found.remove()


@pytest.fixture(scope="session")
def once_for_all():
    """Calls ``make()`` in one process of the tests at a time: ``once_for_all(make, name)``; it sees what is there."""

    def call(make, name):
        with (Path(tempfile.gettempdir()) / f"cnflow-{name}-{os.getuid()}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return make()

    return call


@pytest.fixture(autouse=True)
def _turn_at_the_pool(request):
    """Run a test that stops HTCondor's scheduler alone among those of its pool, in all processes of the tests."""
    if request.node.get_closest_marker("htcondor") is None:
        yield
        return
    with (Path(tempfile.gettempdir()) / f"cnflow-htcondor-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if "scheduler_down" in request.fixturenames else fcntl.LOCK_SH)
        yield


@dataclass
class Rootless:
    """Podman's service of a user without rights."""

    uid: int
    socket: str
    image: str
    """Name of an image with Python."""


@pytest.fixture(scope="module")
def rootless(base_name):
    """The service that tests/services/rootless/up starts, with an image; use with the marker ``rootless``."""
    import docker

    socket = rootless_socket()
    client = docker.DockerClient(base_url=socket, timeout=120)
    image = load_image(client, base_name)
    client.close()
    return Rootless(pwd.getpwnam(ROOTLESS_USER).pw_uid, socket, image)


@pytest.fixture
def build(engine, image_base):
    """Builds an image on the base image, without a registry."""
    names = []

    def make(*lines):
        names.append(f"cnflow-test-{uuid.uuid4().hex[:8]}:1")
        dockerfile = "\n".join([f"FROM {image_base}", *lines])
        engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=names[-1], rm=True)
        return names[-1]

    yield make
    for name in names:
        engine.images.remove(name, force=True)


@pytest.fixture
def podman_configuration(monkeypatch):
    """Podman's program runs with the configuration that tests/services/podman/up writes, where it has."""
    configuration = Path(PODMAN.removeprefix("unix://")).with_name("podman.conf")
    if configuration.is_file():
        monkeypatch.setenv("CONTAINERS_CONF", str(configuration))


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, driven by Playwright. Of a module: Playwright's loop would be in the way of other tests'."""
    from tests.services.dashboard_browser import started_chromium

    with started_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    """Address and database of a dashboard of three runs: 10,000 tasks, 60 tasks, and one that goes on."""
    from tests.services.dashboard_browser import made_database, served

    database = made_database(tmp_path_factory.mktemp("dashboard"))
    with served(database) as address:
        yield address, database


@pytest.fixture
def visit(chromium, dashboard):
    """Opens tabs: ``visit(**settings)``; fails the test when one of them has met a fault."""
    from tests.services.dashboard_browser import Visitor

    visitors = []

    def opened(**settings):
        visitors.append(Visitor(chromium, dashboard[0], **settings))
        return visitors[-1]

    yield opened
    faults = [fault for visitor in visitors for fault in visitor.faults]
    for visitor in visitors:
        visitor.close()
    assert not faults

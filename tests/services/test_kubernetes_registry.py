"""Images of a registry with a password, which the nodes of the real cluster pull."""

import json
import shutil
import socket
import socketserver
import threading

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import KubernetesProvider
from cnflow.errors import ImageNotFoundError
from cnflow.executors import HighThroughputExecutor
from cnflow.model.image import Image

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker, pytest.mark.registry]


class Forwarding(socketserver.BaseRequestHandler):
    """Carries the bytes of one connection to `address` of the server, and back."""

    def handle(self):
        with socket.create_connection(self.server.address) as there:
            back = threading.Thread(target=self._copy, args=(there, self.request))
            back.start()
            self._copy(self.request, there)
            back.join()

    @staticmethod
    def _copy(source, sink):
        try:
            while content := source.recv(65536):
                sink.sendall(content)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has ended the connection


@pytest.fixture
def private_image(cluster, registries):
    """Name by which nodes pull an image without Python from the registry with a password, which is on loopback."""
    name = registries.name(registries.password)
    registries.publish(name, auth_config=registries.login)
    with socketserver.ThreadingTCPServer((cluster.host, 0), Forwarding) as server:
        server.daemon_threads = True
        host, _, port = registries.password.partition(":")
        server.address = host, int(port)
        place = f"{cluster.host}:{server.server_address[1]}"
        settings = cluster.folder / "certs.d" / place
        settings.mkdir()
        plain = f'server = "http://{place}"\n[host."http://{place}"]\ncapabilities = ["pull", "resolve"]\n'
        (settings / "hosts.toml").write_text(plain)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"{place}/{name.partition('/')[2]}"
        server.shutdown()
        thread.join()
        shutil.rmtree(settings)


@pytest.fixture
def run(cluster, namespace, tmp_path):
    """Runs a task in pods of an image; returns its result: ``run(image, **provider)``."""

    def run(image, **options):
        provider = KubernetesProvider(
            kubeconfig=cluster.kubeconfig, namespace=namespace, init_cpu="50m", max_blocks=1, **options
        )
        executor = HighThroughputExecutor(provider=provider, image=image, interchange="driver", address=cluster.host)
        with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))):
            return python_app(host_name)().result(60)

    return run


def host_name():
    import socket

    return socket.gethostname()


def test_image_is_pulled_with_its_own_credentials(run, private_image, registries):
    login = (registries.login["username"], {"value": registries.login["password"]})
    assert run(Image(private_image, credentials=login)).startswith("cnflow-")


def test_image_is_pulled_with_a_secret_of_the_namespace(run, private_image, registries, cluster, namespace):
    options = [f"--docker-{key}={value}" for key, value in registries.login.items()]
    server = f"--docker-server={private_image.partition('/')[0]}"
    cluster.kubectl("create", "secret", "docker-registry", "login", server, *options, "--namespace", namespace)
    assert run(private_image, image_pull_secrets=["login"]).startswith("cnflow-")


@pytest.mark.parametrize("password", [None, "wrong"])
def test_image_of_a_registry_that_wants_another_password_fails_in_words(
    run, private_image, registries, cluster, namespace, password
):
    credentials = (registries.login["username"], {"value": password}) if password else None
    with pytest.raises(ImageNotFoundError, match=r"(?s)401 Unauthorized.*image_pull_secrets=\[...\]"):
        run(Image(private_image, credentials=credentials))
    assert "wrong" not in json.dumps(cluster.get("jobs,pods,events", namespace=namespace))

"""Pulling from real registries: by tag and by digest, with passwords and certificates, and where it fails."""

import contextlib
import http.client
import json
import logging
import socketserver
import ssl
import subprocess
import threading

import pytest

from cnflow.config import DockerProvider
from cnflow.errors import BlockRejectedError, ImageNotFoundError, ImagePullError, ImageUnusableError
from cnflow.model.image import Image
from cnflow.providers.docker.client import Engine
from cnflow.providers.docker.provider import DockerBackend
from cnflow.providers.docker.pulling import Pull, pull

pytestmark = [pytest.mark.docker, pytest.mark.registry]

_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture
def pull_image(engine):
    """Pulls an image as a provider does, without waits: ``pull_image(name, credentials=None)``; returns the waits."""

    def run(name, credentials=None, platform=None):
        waits = []
        connected = Engine(DockerProvider())
        try:
            pull(connected, Pull(name, platform, credentials), waits.append)
        finally:
            connected.close()
        return waits

    return run


def put_manifest(registry, repository, tag, manifest):
    connection = http.client.HTTPConnection(registry, timeout=10)
    body = json.dumps(manifest).encode()
    connection.request("PUT", f"/v2/{repository}/manifests/{tag}", body, {"Content-Type": manifest["mediaType"]})
    reply = connection.getresponse()
    assert reply.status == 201, reply.read()
    connection.close()


def test_an_image_is_pulled_by_tag_and_by_digest(registries, pull_image, engine):
    name = registries.name()
    digest = registries.publish(name)
    assert pull_image(name) == []
    pulled = engine.images.get(name)
    registries.forget(name)
    by_digest = f"{name.rpartition(':')[0]}@{digest}"
    assert pull_image(by_digest) == []
    assert engine.images.get(by_digest).id == pulled.id


def test_a_digest_stands_for_the_same_image_after_its_tag_has_moved(registries, pull_image, engine):
    name = registries.name()
    digest = registries.publish(name, b"old")
    moved = registries.publish(name, b"new")
    assert moved != digest
    pull_image(name)
    pull_image(f"{name.rpartition(':')[0]}@{digest}")
    old = engine.images.get(f"{name.rpartition(':')[0]}@{digest}")
    assert old.id != engine.images.get(name).id


def test_a_registry_with_tls_is_used_where_the_engine_trusts_its_certificate(registries, pull_image):
    name = registries.name(registries.tls)
    registries.publish(name)
    assert pull_image(name) == []


def test_a_registry_whose_certificate_is_not_trusted_is_an_error_with_the_place_for_it(
    registries, pull_image, tmp_path
):
    host = registries.tls.partition(":")[0]
    certificate = tmp_path / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"),
            *("-addext", f"subjectAltName=IP:{host}", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.crt"),
        ],
        check=True,
        capture_output=True,
    )
    certificate.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "ca.crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Shaking(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):  # the engine refuses it
                context.wrap_socket(self.request, server_side=True).close()

    with socketserver.ThreadingTCPServer((host, 0), Shaking) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        registry = f"{host}:{server.server_address[1]}"
        with pytest.raises(ImagePullError, match="does not trust the certificate") as caught:
            pull_image(f"{registry}/app:1")
        server.shutdown()
    assert f"/etc/docker/certs.d/{registry}/ca.crt" in str(caught.value)
    assert "x509: " in str(caught.value)


def test_a_registry_with_a_password_is_used_with_the_given_credentials(registries, pull_image):
    name = registries.name(registries.password)
    registries.publish(name, auth_config=registries.login)
    assert pull_image(name, registries.login) == []


def test_a_registry_with_a_password_is_used_with_those_of_docker_login(registries, pull_image, tmp_path, monkeypatch):
    name = registries.name(registries.password)
    registries.publish(name, auth_config=registries.login)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    subprocess.run(
        ["docker", "login", "--username", registries.login["username"], "--password-stdin", registries.password],
        input=registries.login["password"].encode(),
        check=True,
        capture_output=True,
    )
    assert pull_image(name) == []


def test_credentials_of_an_image_are_read_when_it_is_pulled(registries, engine, monkeypatch, tmp_path, capsule_cache):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    name = registries.name(registries.password)
    registries.publish(name, auth_config=registries.login)
    image = Image(name, credentials=(registries.login["username"], "env:CNFLOW_TEST_PASSWORD"))
    backend = DockerBackend(DockerProvider(), cache_dir=capsule_cache)
    try:
        with pytest.raises(BlockRejectedError, match=f"Image '{name}': credentials: password: the driver has no var"):
            backend.prepare(image)
        monkeypatch.setenv("CNFLOW_TEST_PASSWORD", registries.login["password"])
        with contextlib.suppress(ImageUnusableError):  # nothing but a file is in it
            backend.prepare(image)
    finally:
        backend.close()
    assert engine.images.get(name)


@pytest.mark.parametrize(
    ("credentials", "advice"),
    [(None, "give the Image credentials="), ({"username": "reader", "password": "no"}, "correct the Image's")],
    ids=["none", "wrong"],
)
def test_a_refused_password_is_an_error_that_names_the_registry_and_the_login(
    registries, pull_image, tmp_path, monkeypatch, credentials, advice
):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    name = registries.name(registries.password)
    registries.publish(name, auth_config=registries.login)
    with pytest.raises(ImagePullError, match=f"Image '{name}' cannot be used: the registry") as caught:
        pull_image(name, credentials)
    assert f"docker login {registries.password}" in str(caught.value)
    assert advice in str(caught.value)
    assert "Pulling it failed: " in str(caught.value)


def test_a_limit_of_the_registry_is_waited_for_and_told(registries, bad_registry, pull_image, caplog):
    name = registries.name()
    registries.publish(name)
    bad_registry.limit(4)  # of its requests: an engine sends two for each pull
    with caplog.at_level(logging.WARNING):
        waits = pull_image(registries.name(bad_registry.address))
    assert waits == [2.0, 4.0]
    assert "limits how often it is asked; it is pulled again in 2.0 s: toomanyrequests" in caplog.text


def test_the_time_that_a_registry_names_is_waited(registries, bad_registry, pull_image):
    registries.publish(registries.name())
    bad_registry.limit(2, "retry-after: 350ms, allowed: 100/minute")
    assert pull_image(registries.name(bad_registry.address)) == pytest.approx([0.35])


def test_a_limit_that_lasts_is_an_error_in_words(registries, bad_registry, pull_image):
    registries.publish(registries.name())
    bad_registry.limit(1000)
    with pytest.raises(ImagePullError, match="limits how often it is asked") as caught:
        pull_image(registries.name(bad_registry.address))
    assert "Pulling it failed 5 times: toomanyrequests" in str(caught.value)
    assert f"docker login {bad_registry.address}" in str(caught.value)


def test_a_registry_that_is_not_there_is_asked_four_times(pull_image):
    with pytest.raises(ImagePullError, match=r"the registry 127\.0\.0\.1:1 was not reached") as caught:
        pull_image("127.0.0.1:1/app:1")
    assert "Pulling it failed 4 times: " in str(caught.value)
    assert "connection refused" in str(caught.value)


def test_a_registry_that_comes_back_is_waited_for(registries, bad_registry, pull_image):
    registries.publish(registries.name())
    down = iter(range(4))
    bad_registry.alter = lambda path, reply: (503, {}, b"") if next(down, None) is not None else reply
    assert pull_image(registries.name(bad_registry.address))


def test_an_unknown_tag_is_not_found_and_not_tried_again(registries, bad_registry, pull_image):
    registries.publish(registries.name())
    name = registries.name(bad_registry.address).rpartition(":")[0] + ":2"
    with pytest.raises(ImageNotFoundError, match="manifest unknown") as caught:
        pull_image(name)
    assert type(caught.value) is ImageNotFoundError
    assert "Pulling it failed: " in str(caught.value)


def test_a_byte_that_was_changed_on_the_way_is_an_error_and_no_image(registries, bad_registry, pull_image, engine):
    registries.publish(registries.name(), b"what was pushed")

    def change_blobs(path, reply):
        status, headers, body = reply
        return (status, headers, body[:-1] + bytes([body[-1] ^ 1])) if "/blobs/" in path and body else reply

    bad_registry.alter = change_blobs
    name = registries.name(bad_registry.address)
    with pytest.raises(ImagePullError, match="is not what its digest says") as caught:
        pull_image(name)
    assert "verification failed for digest sha256:" in str(caught.value)
    assert not engine.images.list(name=name)


def test_an_image_for_other_machines_alone_is_an_error_that_names_the_platform(registries, pull_image):
    name = registries.name()
    digest = registries.publish(name)
    repository = name.partition("/")[2].rpartition(":")[0]
    entry = {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "digest": digest,
        "size": 523,
        "platform": {"architecture": "s390x", "os": "linux"},
    }
    put_manifest(
        registries.plain, repository, "s390x", {"schemaVersion": 2, "mediaType": _MANIFEST_LIST, "manifests": [entry]}
    )
    with pytest.raises(ImagePullError, match="does not have it for this platform") as caught:
        pull_image(f"{name.rpartition(':')[0]}:s390x")
    assert "no matching manifest for linux/" in str(caught.value)
    assert "name another platform=" in str(caught.value)

"""A name is looked up in its registry before anything is pulled."""

import base64
import hashlib
import json

import pytest

from cnflow.sites.registry_lookup import RegistryName, Reply, look_up, parse_name

CONFIG = "sha256:" + "c0" * 32
MANIFEST = json.dumps({"config": {"digest": CONFIG}}).encode()
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
INDEX = json.dumps(
    {
        "manifests": [
            {"digest": "sha256:" + "0" * 64, "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": DIGEST, "platform": {"os": "linux", "architecture": "amd64"}},
        ]
    }
).encode()
INDEX_DIGEST = f"sha256:{hashlib.sha256(INDEX).hexdigest()}"


class Registry:
    """Answers GETs from a table of URLs; others are not reached."""

    def __init__(self, table, token=""):
        self.table = table
        self.token = token
        self.asked = []

    def __call__(self, url, headers):
        self.asked.append((url, headers.get("Authorization", "")))
        if url.startswith("https://auth/"):
            return Reply(200, {}, json.dumps({"token": self.token}).encode())
        if url not in self.table:
            raise OSError("unreachable")
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            challenge = 'Bearer realm="https://auth/token",service="registry",scope="repository:app:pull"'
            return Reply(401, {"www-authenticate": challenge}, b"")
        return Reply(200, {}, self.table[url])


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("app", RegistryName("docker.io", "library/app", "latest")),
        ("me/app:1", RegistryName("docker.io", "me/app", "1")),
        ("host:5000/app", RegistryName("host:5000", "app", "latest")),
        ("ghcr.io/a/b:1", RegistryName("ghcr.io", "a/b", "1")),
        (f"app:1@{DIGEST}", RegistryName("docker.io", "library/app", DIGEST)),
    ],
)
def test_name_has_host_repository_and_tag(reference, name):
    assert parse_name(reference) == name


def test_image_has_its_digest_and_the_id_that_engines_give_it():
    registry = Registry({"https://ghcr.io/v2/a/b/manifests/1": MANIFEST})
    found = look_up("ghcr.io/a/b:1", "amd64", None, registry)
    assert (found.reference, found.id, found.is_http) == (f"ghcr.io/a/b@{DIGEST}", CONFIG, False)


def test_image_for_several_platforms_is_that_of_the_site_by_the_digest_of_all():
    url = "https://registry-1.docker.io/v2/library/app/manifests/"
    registry = Registry({f"{url}1": INDEX, f"{url}{DIGEST}": MANIFEST})
    found = look_up("app:1", "amd64", None, registry)
    assert (found.reference, found.id) == (f"app@{INDEX_DIGEST}", CONFIG)


def test_image_for_other_platforms_alone_is_not_found():
    registry = Registry({"https://ghcr.io/v2/a/manifests/1": INDEX})
    assert look_up("ghcr.io/a:1", "riscv64", None, registry) is None


def test_token_is_asked_for_with_user_and_password():
    registry = Registry({"https://ghcr.io/v2/app/manifests/1": MANIFEST}, token="t0k3n")
    assert look_up("ghcr.io/app:1", "amd64", ("me", "pw"), registry).id == CONFIG
    url, basic = registry.asked[1]
    assert url == "https://auth/token?service=registry&scope=repository%3Aapp%3Apull"
    assert base64.b64decode(basic.removeprefix("Basic ")) == b"me:pw"


def test_registry_of_this_machine_may_speak_plain_http_and_no_other():
    table = {"http://localhost:5000/v2/app/manifests/1": MANIFEST, "http://host:5000/v2/app/manifests/1": MANIFEST}
    assert look_up("localhost:5000/app:1", "amd64", None, Registry(table)).is_http
    assert look_up("host:5000/app:1", "amd64", None, Registry(table)) is None

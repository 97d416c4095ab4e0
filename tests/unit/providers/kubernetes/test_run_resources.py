"""Objects that a block needs beside its Job, and what is left where the cluster does not answer."""

from dataclasses import replace
from pathlib import Path

import pytest

from cnflow.capsule import Kind, Probe
from cnflow.capsule.survey import Survey
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.ids import BlockId, RunId
from cnflow.kubernetes_api.errors import ApiError, ClusterError
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.image_identity import ImageIdentity
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers.kubernetes.parts import PodParts
from cnflow.providers.kubernetes.probe import PreparedImage
from cnflow.providers.kubernetes.run_resources import RunResources

PROBE = Probe("3.11.2", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3")
IMAGE = PreparedImage(ImageIdentity(""), PROBE, Kind("3.11", "x86_64", "glibc"), holds_code=True, survey=Survey())


class Server:
    """The objects that were made, by kind and name."""

    server, namespace = "https://one", "ns"

    def __init__(self):
        self.made = {}
        self.is_down = False
        self.refused = set()

    def request(self, method, path, *, body=None, query=None, content_type="", timeout=None):
        if self.is_down:
            raise ClusterError("no answer")
        if method == "DELETE":
            self.made = {key: made for key, made in self.made.items() if key[1] != path.rpartition("/")[2]}
        if method == "POST":
            if body.get("type") in self.refused:
                raise ApiError(self.server, 403, "Forbidden", "exceeded quota")
            key = body["kind"], body["metadata"]["name"]
            if key in self.made:
                raise ApiError(self.server, 409, "AlreadyExists", "exists")
            self.made[key] = body
            return {**body, "metadata": {**body["metadata"], "uid": f"u{len(self.made)}"}}
        return None

    def list_all(self, path, selector="", *, fields=""):
        raise ClusterError("not listed")

    def of_kind(self, kind):
        return [made for (each, _), made in self.made.items() if each == kind]


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def make(server):
    """Makes resources with settings, and closes them."""
    made = []

    def make(**settings):
        made.append(RunResources(server, KubernetesProvider(**settings)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def request(block, executor="htex"):
    manager = ManagerSettings(hosts=(), endpoint="tcp://driver:1", executor=executor, block=block)
    return BlockRequest(RunId("3fa1"), executor, BlockId(block), Image("app:1"), manager, Path("log"))


def test_nobody_connects_to_the_blocks_of_a_driver_in_the_cluster_either(server, make):
    resources = make(network_policy=True)
    for block in ("0", "1"):
        resources.prepare_block(request(block), IMAGE)
    resources.prepare_block(request("0", "other"), IMAGE)
    policies = server.of_kind("NetworkPolicy")
    assert [each["spec"]["podSelector"]["matchLabels"]["cnflow.org/executor"] for each in policies] == ["htex", "other"]
    assert all(each["spec"]["policyTypes"] == ["Ingress"] and "ingress" not in each["spec"] for each in policies)
    assert {each["metadata"]["ownerReferences"][0]["name"] for each in policies} == {"cnflow-3fa1-run"}


def test_no_policy_is_made_unasked(server, make):
    make().prepare_block(request("0"), IMAGE)
    assert server.of_kind("NetworkPolicy") == []


def test_secret_of_a_refused_block_may_end_with_the_run(server, make):
    server.is_down = True
    make().discard(PodParts({}, "s"))


def test_block_whose_login_is_refused_leaves_no_secret(server, make, monkeypatch):
    monkeypatch.setenv("PASSWORD", "s3cret")
    server.refused.add("kubernetes.io/dockerconfigjson")
    image = Image("app:1", credentials=("ann", "env:PASSWORD"))
    with pytest.raises(ApiError):
        make().prepare_block(replace(request("0"), image=image), IMAGE)
    assert server.of_kind("Secret") == []


def test_object_of_a_run_is_given_up_under_the_address_that_the_server_had(server, make):
    resources = make()
    resources.prepare_block(request("0"), IMAGE)
    server.server = "https://another"
    resources.close()

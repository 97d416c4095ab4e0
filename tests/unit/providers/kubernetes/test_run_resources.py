"""Objects that a block needs beside its Job, and what is left where the cluster does not answer."""

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnflow.capsule import Kind, Probe
from cnflow.capsule.survey import Survey
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.errors import BlockError
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
        self.patched = []
        self.living = None

    def request(self, method, path, *, body=None, query=None, content_type="", timeout=None):
        if self.is_down:
            raise ClusterError("no answer")
        if method == "DELETE":
            self.made = {key: made for key, made in self.made.items() if key[1] != path.rpartition("/")[2]}
        if method == "PATCH" and "/secrets/" in path:
            self.patched.append((path.rpartition("/")[2], body["metadata"]["ownerReferences"]))
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
        if self.living is None:
            raise ClusterError("not listed")
        return SimpleNamespace(items=self.living)

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


JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "cnflow-3fa1-htex-0", "uid": "j1"}}


def test_secrets_of_a_block_are_handed_over_to_its_job(server, make, monkeypatch):
    monkeypatch.setenv("PASSWORD", "s3cret")
    resources = make()
    image = Image("app:1", credentials=("ann", "env:PASSWORD"))
    parts = resources.prepare_block(replace(request("0"), image=image), IMAGE)
    resources.hand_over(parts, JOB)
    wait_for_hand_over(resources)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-3fa1-htex-0", "uid": "j1"}
    of_run = {"$patch": "delete", "uid": parts.owner["uid"]}
    assert server.patched == [(name, [owner, of_run]) for name in (parts.secret, f"{parts.secret}-login")]


def wait_for_hand_over(resources):
    resources._owners.submit(int).result(10)  # one thread: what was asked for before is done


def test_job_that_is_deleted_while_its_secret_is_handed_over_is_no_fault(server, make, caplog):
    resources = make()
    parts = resources.prepare_block(request("0"), IMAGE)
    answer = server.request

    def gone(method, path, **options):
        if method == "PATCH" and "/secrets/" in path:
            raise ApiError(server.server, 404, "NotFound", "deleted with its Job")
        return answer(method, path, **options)

    server.request = gone
    resources.hand_over(parts, JOB)
    resources.hand_over(resources.prepare_block(request("1"), IMAGE), JOB)
    wait_for_hand_over(resources)
    assert not caplog.records


def test_secret_of_an_earlier_submission_is_replaced(server, make):
    resources = make()
    first = resources.prepare_block(request("0"), IMAGE)
    old = server.made["Secret", first.secret]
    resources.prepare_block(request("0"), IMAGE)
    assert server.made["Secret", first.secret] is not old
    assert len(server.of_kind("Secret")) == 1


def test_object_of_a_run_is_deleted_by_the_last_of_its_providers(server, make):
    server.living = []
    first, second = make(), make()
    for block, each in enumerate((first, second)):
        each.prepare_block(request(str(block)), IMAGE)
    (run_object,) = server.of_kind("Job")
    first.close()
    assert server.of_kind("Job") == [run_object]
    second.close()
    assert server.of_kind("Job") == []


def test_object_of_a_run_stays_while_a_block_lives_for_another_driver(server, make):
    server.living = [{"metadata": {}, "status": {"phase": "Running"}}]
    resources = make()
    resources.prepare_block(request("0"), IMAGE)
    resources.close()
    assert len(server.of_kind("Job")) == 1


def test_block_that_is_prepared_after_the_end_does_not_make_the_object_of_its_run_anew(server, make):
    server.living = []
    resources = make()
    resources.prepare_block(request("0"), IMAGE)
    resources.close()
    server.made.clear()  # by the garbage collector
    with pytest.raises(BlockError, match="closed before a block of run 3fa1 was asked for"):
        resources.prepare_block(request("1"), IMAGE)
    assert server.made == {}


def test_job_that_comes_after_the_end_is_handed_nothing(server, make):
    resources = make()
    parts = resources.prepare_block(request("0"), IMAGE)
    resources.close()
    resources.hand_over(parts, JOB)
    assert server.patched == []
    assert not [one for one in threading.enumerate() if one.name.startswith("cnflow-secrets")]

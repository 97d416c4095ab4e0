"""The machine of an interchange, while it is closed in the midst of anything."""

import os
import threading
from types import SimpleNamespace

import pytest

from cnflow.capsule import Kind, Probe
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.errors import BlockError
from cnflow.ids import RunId
from cnflow.interfaces import InterchangeRequest
from cnflow.kubernetes_api.errors import ApiError
from cnflow.model.image import Image
from cnflow.model.interchange_settings import GONE
from cnflow.providers.kubernetes.interchange_place import ClusterInterchange
from cnflow.providers.kubernetes.pod_start import PodCode
from cnflow.units import Seconds

REQUEST = InterchangeRequest(RunId("3fa1"), "train", Image("app:1"), None, Seconds(3600.0))
OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-3fa1-run", "uid": "u"}
CODE = PodCode(Kind("3.11", "x86_64", "glibc"), "tag")
IMAGE = SimpleNamespace(probe=Probe("3.11.2", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3"))


class Resources:
    """Those of a run: its object and its code; `before` has what a test does at such a moment, once."""

    def __init__(self):
        self.asked = []
        self.before = {}

    def owner(self, run, grace):
        return self._at("owner", OWNER)

    def code(self, image, owner):
        return self._at("code", CODE)

    def _at(self, moment, answer):
        self.asked.append(moment)
        self.before.pop(moment, lambda: None)()
        return answer


def lose_pod(server):
    """Remove the pod of the interchange, so that the next command makes another one."""
    (pod,) = [path for path in server.objects if "/pods/" in path]
    del server.objects[pod]


class Server:
    """Pods and Services, by path; a pod runs once it is there, unless it is `stuck`."""

    server, namespace = "https://one", "ns"

    def __init__(self):
        self.objects = {}
        self.stuck = False
        self.made = []
        self.before = {}
        self.on_pod = lambda: None

    def request(self, method, path, *, body=None, **_):
        if method == "DELETE":
            if self.objects.pop(path, None) is None:
                raise ApiError(self.server, 404, "NotFound", "not found")
            return None
        self.before.pop(body["kind"], lambda: None)()
        self.made.append((body["kind"], body["metadata"]["name"]))
        made = {**body, "metadata": {**body["metadata"], "uid": "u1"}}
        self.objects[f"{path}/{body['metadata']['name']}"] = made
        if body["kind"] == "Service":
            made["spec"] = {**body["spec"], "clusterIPs": [body["spec"].get("clusterIP", "10.96.0.7")]}
        if body["kind"] == "Pod":
            phase = "Pending" if self.stuck else "Running"
            state = {} if self.stuck else {"running": {"startedAt": "2026-11-26T09:00:00Z"}}
            made["status"] = {"phase": phase, "containerStatuses": [{"name": "cnflow", "state": state}]}
            self.on_pod()
        return made

    def get(self, path):
        return self.objects.get(path)

    def list_all(self, path, selector="", *, fields=""):
        return SimpleNamespace(items=[])


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def resources():
    return Resources()


@pytest.fixture
def place(server, resources):
    settings = KubernetesProvider()
    return ClusterInterchange(
        REQUEST, settings, IMAGE, cluster=server, resources=resources, is_ending=threading.Event()
    )


def test_pod_that_is_made_while_its_executor_ends_does_not_outlive_it(place, server):
    place.place()
    lose_pod(server)  # another one takes its place, and the executor ends meanwhile
    server.stuck = True
    closing, is_made = threading.Thread(target=place.close), threading.Event()

    def close():
        closing.start()
        is_made.set()

    server.on_pod = close
    descriptor = place.command(is_start=True).descriptor
    assert is_made.wait(10)
    closing.join(10)
    with os.fdopen(descriptor, "rb") as pipe:
        assert b"ends before its interchange has begun" in pipe.read()
    assert server.objects == {}


@pytest.mark.parametrize("moment", ["owner", "code", "Service", "Pod"])
def test_place_that_is_closed_while_another_thread_makes_it_leaves_nothing(place, server, resources, moment):
    place.place()
    lose_pod(server)
    closing, is_reached = threading.Thread(target=place.close), threading.Event()

    def close():
        closing.start()
        closing.join(0.3)  # without a lock it ends here, before the pod is there
        is_reached.set()

    resources.before[moment] = server.before[moment] = close
    descriptor = place.command(is_start=True).descriptor
    assert is_reached.wait(10)
    closing.join(10)
    with os.fdopen(descriptor, "rb") as pipe:
        assert b"ends before its interchange has begun" in pipe.read()
    assert server.objects == {}


def test_closed_place_makes_nothing(place, server, resources):
    place.close()
    with pytest.raises(BlockError, match="ends before its interchange has begun"):
        place.place()
    assert (server.made, resources.asked) == ([], [])


def test_command_of_a_closed_place_makes_nothing(place, server):
    place.place()
    place.close()
    made = list(server.made)
    with os.fdopen(place.command(is_start=True).descriptor, "rb") as pipe:
        assert b"ends before its interchange has begun" in pipe.read()
    assert server.made == made
    assert server.objects == {}


def test_command_that_ended_before_its_request_came_is_no_fault(place):
    place.place()
    os.close(place.command(is_start=False).descriptor)
    for thread in threading.enumerate():
        if thread.name == "cnflow-interchange-pod":
            thread.join(10)  # pytest reports what it raises
    place.close()


def test_place_whose_pod_is_refused_leaves_nothing(place, server):
    def refuse():
        raise ApiError(server.server, 403, "Forbidden", "exceeded quota")

    server.before["Pod"] = refuse
    with pytest.raises(ApiError, match="exceeded quota"):
        place.place()
    assert server.objects == {}


def test_place_whose_pod_cannot_run_leaves_nothing(place, server):
    def end():
        (pod,) = [made for path, made in server.objects.items() if "/pods/" in path]
        pod["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}

    server.on_pod = end
    with pytest.raises(BlockError, match=r"(?s)The interchange cannot run in pod .*low on memory"):
        place.place()
    assert server.objects == {}


def test_lost_pod_is_replaced_at_the_same_address(place, server):
    place.place()
    before = list(place.addresses)
    server.objects.clear()  # the run's object has ended, and all with it
    with os.fdopen(place.command(is_start=True).descriptor, "rb") as pipe:
        pipe.read()
    assert list(place.addresses) == before
    (service,) = [made for path, made in server.objects.items() if "/services/" in path]
    assert service["spec"]["clusterIP"] == "10.96.0.7"
    assert [name.rpartition("-")[2] for kind, name in server.made if kind == "Pod"] == ["1", "2"]


def test_driver_is_told_that_the_interchange_is_gone_with_its_pod(place, server, caplog):
    place.place()
    lose_pod(server)
    made = list(server.made)
    with os.fdopen(place.command(is_start=False).descriptor, "rb") as pipe:
        assert GONE in pipe.read().decode()
    assert "was deleted; another one takes its place" in caplog.text
    assert server.made == made

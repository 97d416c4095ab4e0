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
from cnflow.providers.kubernetes.interchange_place import ClusterInterchange
from cnflow.providers.kubernetes.pod_start import PodCode
from cnflow.units import Seconds

REQUEST = InterchangeRequest(RunId("3fa1"), "train", Image("app:1"), None, Seconds(3600.0))
OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-3fa1-run", "uid": "u"}
CODE = PodCode(Kind("3.11", "x86_64", "glibc"), "tag")
IMAGE = SimpleNamespace(probe=Probe("3.11.2", "CPython", "x86_64", "glibc 2.36", "/usr/bin/python3"))
RESOURCES = SimpleNamespace(owner=lambda run, grace: OWNER, code=lambda image, owner: CODE)


class Server:
    """Pods and Services, by path; a pod runs once it is there, unless it is `stuck`."""

    server, namespace = "https://one", "ns"

    def __init__(self):
        self.objects = {}
        self.stuck = False
        self.on_pod = lambda: None

    def request(self, method, path, *, body=None, **_):
        if method == "DELETE":
            if self.objects.pop(path, None) is None:
                raise ApiError(self.server, 404, "NotFound", "not found")
            return None
        made = {**body, "metadata": {**body["metadata"], "uid": "u1"}}
        self.objects[f"{path}/{body['metadata']['name']}"] = made
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
def place(server):
    settings = KubernetesProvider()
    return ClusterInterchange(
        REQUEST, settings, IMAGE, cluster=server, resources=RESOURCES, is_ending=threading.Event()
    )


def test_pod_that_is_made_while_its_executor_ends_does_not_outlive_it(place, server):
    place.place()
    (pod,) = [path for path in server.objects if "/pods/" in path]
    del server.objects[pod]  # another one takes its place, and the executor ends meanwhile
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


def test_closed_place_makes_no_pod(place, server):
    place.close()
    with pytest.raises(BlockError, match="ends before its interchange has begun"):
        place.place()
    assert server.objects == {}


def test_command_that_ended_before_its_request_came_is_no_fault(place):
    place.place()
    os.close(place.command(is_start=False).descriptor)
    for thread in threading.enumerate():
        if thread.name == "cnflow-interchange-pod":
            thread.join(10)  # pytest reports what it raises
    place.close()

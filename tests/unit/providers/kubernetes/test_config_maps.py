import copy

import pytest

from cnflow.errors import BlockRejectedError
from cnflow.kubernetes_api.errors import ApiError
from cnflow.providers.kubernetes.config_maps import Code, ConfigMaps
from cnflow.providers.kubernetes.orphans import Orphans, is_orphan

CODE = Code.of("cp311-x86_64-glibc-abc", bytes(2_500_000))


def owner(uid):
    return {"apiVersion": "batch/v1", "kind": "Job", "name": f"run-{uid}", "uid": uid}


class Server:
    """The ConfigMaps of a namespace, as the API server keeps them."""

    namespace = "ns"

    def __init__(self):
        self.objects = {}
        self.methods = []
        self.before_post = lambda _: None

    def request(self, method, path, *, body=None, query=None, content_type=""):
        self.methods.append(method)
        name = path.rpartition("/")[2]
        if method == "POST":
            name = body["metadata"]["name"]
            self.before_post(name)
            if name in self.objects:
                raise ApiError("https://one", 409, "AlreadyExists", name)
            self.objects[name] = copy.deepcopy(body)
        elif name not in self.objects:
            raise ApiError("https://one", 404, "NotFound", name)
        elif method == "DELETE":
            del self.objects[name]
        else:
            owners = self.objects[name]["metadata"].setdefault("ownerReferences", [])
            new = [each for each in body["metadata"]["ownerReferences"] if each not in owners]
            owners += new
        return copy.deepcopy(self.objects.get(name))

    def owners(self):
        return {tuple(each["uid"] for each in made["metadata"]["ownerReferences"]) for made in self.objects.values()}


def test_config_maps_of_code_are_made_once_for_a_run():
    server = Server()
    maps = ConfigMaps(server, "ns")
    names = maps.ensure(CODE, owner("u1"))
    assert set(server.objects) == set(names.values())
    count = len(server.methods)
    assert maps.ensure(CODE, owner("u1")) == names
    assert len(server.methods) == count


def test_another_run_becomes_an_owner_and_sends_no_code():
    server = Server()
    ConfigMaps(server, "ns").ensure(CODE, owner("u1"))
    server.methods.clear()
    ConfigMaps(server, "ns").ensure(CODE, owner("u2"))
    assert set(server.methods) == {"PATCH"}
    assert server.owners() == {("u1", "u2")}


def test_another_driver_that_is_faster_is_no_error():
    server, other = Server(), Server()
    ConfigMaps(other, "ns").ensure(CODE, owner("u0"))
    server.before_post = lambda name: server.objects.setdefault(name, other.objects[name])
    ConfigMaps(server, "ns").ensure(CODE, owner("u1"))
    assert server.owners() == {("u0", "u1")}


def test_another_content_under_the_name_is_never_run():
    server = Server()
    names = ConfigMaps(server, "ns").ensure(CODE, owner("u1"))
    server.objects[names["part-001"]]["binaryData"] = {"part-001": "ZXZpbA=="}
    with pytest.raises(BlockRejectedError, match="has another content than cnflow gave it"):
        ConfigMaps(server, "ns").ensure(CODE, owner("u2"))


def test_config_map_that_is_deleted_is_made_again_once_a_pod_has_missed_it():
    server = Server()
    maps = ConfigMaps(server, "ns")
    names = maps.ensure(CODE, owner("u1"))
    del server.objects[names["part-000"]]
    maps.forget()
    maps.ensure(CODE, owner("u1"))
    assert names["part-000"] in server.objects


def test_object_that_was_not_changed_for_long_is_an_orphan():
    made = {
        "metadata": {"creationTimestamp": "2026-11-26T07:00:00Z", "managedFields": [{"time": "2026-11-26T08:00:00Z"}]}
    }
    changed = 1795680000.0
    assert not is_orphan(made, changed + 599.0, 600.0)
    assert is_orphan(made, changed + 601.0, 600.0)
    made["metadata"]["deletionTimestamp"] = "2026-11-26T08:00:01Z"
    assert not is_orphan(made, changed + 601.0, 600.0)


def test_removing_a_run_that_is_gone_is_no_error():
    server = Server()
    server.objects["cnflow-r1-run"] = {"metadata": {}}
    Orphans(server, 300.0).remove_run("r1")
    Orphans(server, 300.0).remove_run("r1")
    assert server.objects == {}

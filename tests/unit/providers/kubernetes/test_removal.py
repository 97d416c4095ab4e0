"""The end of blocks: pods first, then Jobs, by force where a node does not answer, and confirmed only without a pod."""

import pytest

from cnflow.kubernetes_api.errors import ApiError, ClusterError
from cnflow.providers.kubernetes import removal
from cnflow.providers.kubernetes.block_watch import BlockWatch
from cnflow.providers.kubernetes.removal import Removal

SERVER = "https://10.0.0.1:6443"


def labels(block):
    return {
        "app.kubernetes.io/managed-by": "cnflow",
        "cnflow.org/run": "r",
        "cnflow.org/executor": "htex",
        "cnflow.org/block": block,
        "job-name": f"b-{block}",
    }


class SmallCluster:
    """Jobs and pods of blocks, which obey as long as their nodes do; notes what it is asked to delete."""

    server, namespace = SERVER, "n"
    in_time = 150
    """Objects that are deleted within the time of one request."""

    def __init__(self, *blocks, lost=()):
        self.jobs = {f"b-{block}": {"metadata": {"name": f"b-{block}", "labels": labels(block)}} for block in blocks}
        self.pods = {
            f"b-{block}-x": {"metadata": {"name": f"b-{block}-x", "labels": labels(block)}} for block in blocks
        }
        self.lost = {f"b-{block}-x" for block in lost}
        self.deleted = []
        self.is_down = False

    def list_all(self, path, selector="", *, fields=""):
        if self.is_down:
            raise ClusterError("connection refused")
        kind = self.pods if path.endswith("pods") else self.jobs

        class Listed:
            items = tuple(one for one in kind.values() if chosen(one, selector))

        return Listed

    def get(self, path):
        return self.jobs.get(path.rpartition("/")[2])

    def request(self, method, path, *, body=None, query=None):
        assert method == "DELETE"
        if self.is_down:
            raise ClusterError("connection refused")
        self.deleted.append((path.rpartition("/")[2], body.get("gracePeriodSeconds")))
        kind = self.pods if "/pods" in path else self.jobs
        if query:
            names = [name for name, one in kind.items() if chosen(one, query["labelSelector"])]
            if len(names) > self.in_time:
                raise ClusterError("the request timed out")
        elif (name := path.rpartition("/")[2]) in kind:
            names = [name]
        else:
            raise ApiError(SERVER, 404, "NotFound", "not found", {})
        for name in names:
            if name not in self.lost or body.get("gracePeriodSeconds") == 0:
                del kind[name]


def chosen(one, selector):
    """Whether the selector, of equations and perhaps one set at its end, chooses an object."""
    own = one["metadata"]["labels"]
    equations, is_set, values = selector.partition(" in (")
    *equal, label = equations.split(",") if is_set else [*equations.split(","), ""]
    if is_set and own.get(label) not in values.rstrip(")").split(","):
        return False
    return all(own.get(part.partition("=")[0]) == part.partition("=")[2] for part in equal)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(removal, "_GRACE", 0.05)
    monkeypatch.setattr(removal, "_PATIENCE", 0.05)
    monkeypatch.setattr(removal, "_PAUSE", 0.01)


def end(cluster, *names):
    watch = BlockWatch(cluster, "n", is_bare=False, changed=lambda: None)
    return Removal(cluster, "n", is_bare=False, watch=watch).end(names)


def test_many_blocks_are_deleted_by_two_requests():
    cluster = SmallCluster(*map(str, range(30)))
    assert end(cluster, *(f"b-{block}" for block in range(29))) == {}
    assert cluster.deleted == [("pods", 0.05), ("jobs", None)]
    assert set(cluster.jobs) == {"b-29"}
    assert set(cluster.pods) == {"b-29-x"}


def test_hundreds_of_blocks_are_deleted_by_requests_that_a_slow_server_answers_in_time():
    cluster = SmallCluster(*map(str, range(500)))
    assert end(cluster, *cluster.jobs) == {}
    assert (cluster.jobs, cluster.pods) == ({}, {})


def test_block_that_is_gone_is_no_error():
    cluster = SmallCluster()
    assert end(cluster, "b-7") == {}


def test_pods_without_their_job_are_deleted_by_name():
    cluster = SmallCluster("0")
    cluster.jobs.clear()
    assert end(cluster, "b-0") == {}
    assert cluster.deleted[0] == ("b-0-x", 0.05)
    assert cluster.pods == {}


def test_pod_of_a_lost_node_is_deleted_by_force():
    cluster = SmallCluster("0", "1", lost=("1",))
    assert end(cluster, "b-0", "b-1") == {}
    assert cluster.deleted == [("pods", 0.05), ("jobs", None), ("pods", 0)]


def test_end_is_not_confirmed_while_a_pod_is_left():
    cluster = SmallCluster("0", "1")

    def stays(method, path, *, body=None, query=None):
        cluster.deleted.append(path)

    cluster.request = stays
    assert end(cluster, "b-0") == {"b-0": "its pod is still being deleted"}


def test_nothing_is_confirmed_while_the_server_does_not_answer():
    cluster = SmallCluster("0")
    cluster.is_down = True
    assert end(cluster, "b-0") == {"b-0": "connection refused"}

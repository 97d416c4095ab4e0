"""Objects of blocks: those that are watched, those that were deleted lately, and those that are asked for."""

import queue

import pytest

from cnflow.kubernetes_api.cluster import ObjectList
from cnflow.kubernetes_api.errors import ApiError
from cnflow.providers.kubernetes import removal
from cnflow.providers.kubernetes.block_watch import BlockWatch, Warnings
from cnflow.providers.kubernetes.names import BLOCK, EXECUTOR, MANAGED_BY, RUN
from cnflow.providers.kubernetes.removal import Removal
from cnflow.testing import FakeClock

LABELS = {MANAGED_BY: "cnflow", RUN: "r", EXECUTOR: "htex", BLOCK: "0", "job-name": "b-0"}
EXPIRED = ApiError("https://one", 410, "Expired", "too old resource version", {})


def made(name, version="1"):
    return {"metadata": {"name": name, "labels": LABELS, "resourceVersion": version, "uid": name}}


class Watched:
    """A cluster with one block, whose lists and watches a test feeds."""

    server, namespace = "https://one", "n"

    def __init__(self):
        self.objects = {"jobs": {"b-0": made("b-0")}, "pods": {"b-0-x": made("b-0-x")}}
        self.streams = {kind: queue.Queue() for kind in self.objects}
        self.listed = []
        self.on_delete = lambda: None

    def list_all(self, path, selector="", *, fields=""):
        kind = path.rpartition("/")[2]
        self.listed.append(kind)
        return ObjectList(tuple(self.objects.get(kind, {}).values()), "9")

    def watch(self, path, version, selector):
        fed = self.streams[path.rpartition("/")[2]]

        def events():
            while (event := fed.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event

        return Stream(events(), fed)

    def get(self, path):
        *_, kind, name = path.split("/")
        return self.objects[kind].get(name)

    def request(self, method, path, *, body=None, query=None):
        kind = path.rpartition("/")[2]
        self.objects[kind] = {}
        if kind == "jobs":
            self.on_delete()


class Stream:
    def __init__(self, events, fed):
        self._events, self._fed = events, fed

    def __iter__(self):
        return self._events

    def close(self):
        self._fed.put(None)


@pytest.fixture
def cluster():
    return Watched()


@pytest.fixture
def changes():
    return queue.Queue()


@pytest.fixture
def watch(cluster, changes):
    watch = BlockWatch(cluster, "n", is_bare=False, changed=lambda: changes.put(None))
    watch.follow("a=b")
    watch.objects(["b-0"])
    for _ in cluster.objects:
        changes.get(timeout=10)  # both are listed
    yield watch
    watch.stop()


def deleted(name):
    return {"type": "DELETED", "object": made(name, "10")}


def test_last_words_of_a_pod_that_is_gone_are_those_of_its_deletion(watch, cluster, changes):
    cluster.streams["pods"].put(deleted("b-0-x"))
    changes.get(timeout=10)
    block = watch.objects(["b-0"])["b-0"]
    assert [pod["metadata"]["name"] for pod in block.pods] == ["b-0-x"]
    assert block.job is not None


def test_watch_that_is_listed_again_while_a_block_is_removed_keeps_no_trace_of_it(watch, cluster, changes, monkeypatch):
    monkeypatch.setattr(removal, "_PAUSE", 0.01)

    def expire():
        for fed in cluster.streams.values():
            fed.put(EXPIRED)
        for _ in cluster.streams:
            changes.get(timeout=10)  # the lists without the block are in force

    cluster.on_delete = expire
    assert Removal(cluster, "n", is_bare=False, watch=watch).end(["b-0"]) == {}
    block = watch.objects(["b-0"])["b-0"]
    assert (block.job, list(block.pods)) == (None, [])


def test_removed_block_is_gone_before_the_events_of_that_come(watch, cluster):
    assert Removal(cluster, "n", is_bare=False, watch=watch).end(["b-0"]) == {}
    block = watch.objects(["b-0"])["b-0"]
    assert (block.job, list(block.pods)) == (None, [])


def test_warnings_are_listed_every_two_seconds_at_most(cluster):
    clock = FakeClock()
    warnings = Warnings(cluster, "n", clock)
    for _ in range(3):
        warnings.about([made("b-0")])
    assert cluster.listed == ["events"]
    clock.advance(2.0)
    warnings.about([made("b-0")])
    assert cluster.listed == ["events"] * 2

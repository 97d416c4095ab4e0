"""The thread of a reflector: it lists, watches, and goes on after every kind of break."""

import queue
import threading

import pytest

from cnflow.kubernetes_api.cluster import ObjectList
from cnflow.kubernetes_api.errors import ApiError, ClusterError
from cnflow.kubernetes_api.reflector import Reflector
from cnflow.units import Seconds

SERVER = "https://10.0.0.1:6443"
PATIENCE = Seconds(10.0)


def one(name, version):
    return {"metadata": {"name": name, "resourceVersion": version}}


def event(kind, name, version):
    return {"type": kind, "object": one(name, version)}


EXPIRED = ApiError(SERVER, 410, "Expired", "too old resource version", {})
DOWN = ClusterError("connection refused")


class Stream:
    """A watch that a test feeds: events, and None for its end."""

    def __init__(self):
        self.fed = queue.Queue()

    def __iter__(self):
        return iter(self.fed.get, None)

    def close(self):
        self.fed.put(None)


class WatchedCluster:
    """Answers lists and watches in turn, as a test has put them; notes the versions that are watched from."""

    server = SERVER

    def __init__(self):
        self.lists, self.streams, self.versions = queue.Queue(), queue.Queue(), queue.Queue()

    def list_all(self, path, selector):
        return self._answer(self.lists)

    def watch(self, path, version, selector):
        self.versions.put(version)
        return self._answer(self.streams)

    def _answer(self, answers):
        answer = answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def cluster():
    return WatchedCluster()


@pytest.fixture
def changed():
    return threading.Semaphore(0)


@pytest.fixture
def reflector(cluster, changed):
    reflector = Reflector(cluster, "/api/v1/namespaces/n/pods", "a=b", changed.release)
    yield reflector
    for _ in range(3):  # let the thread go on to its end
        cluster.lists.put(DOWN)
        cluster.streams.put(DOWN)
    reflector.stop()


def put_list(cluster, version, *objects):
    cluster.lists.put(ObjectList(objects, version))


def put_stream(cluster):
    stream = Stream()
    cluster.streams.put(stream)
    return stream


def test_objects_are_those_of_the_list_and_then_of_the_events(cluster, reflector, changed):
    put_list(cluster, "5", one("a", "1"))
    stream = put_stream(cluster)
    assert set(reflector.objects(PATIENCE)) == {"a"}
    assert changed.acquire(timeout=PATIENCE)
    stream.fed.put(event("ADDED", "b", "6"))
    assert changed.acquire(timeout=PATIENCE)
    assert set(reflector.objects(PATIENCE)) == {"a", "b"}
    stream.fed.put(event("DELETED", "a", "7"))
    assert changed.acquire(timeout=PATIENCE)
    assert set(reflector.objects(PATIENCE)) == {"b"}
    assert set(reflector.deleted()) == {"a"}


def test_watch_that_ends_goes_on_from_its_last_version(cluster, reflector, changed):
    put_list(cluster, "5")
    first = put_stream(cluster)
    first.fed.put({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}})
    first.close()
    put_stream(cluster)
    assert [cluster.versions.get(timeout=PATIENCE) for _ in range(2)] == ["5", "9"]


def test_version_that_is_too_old_is_listed_again(cluster, reflector, changed):
    put_list(cluster, "5", one("a", "1"))
    cluster.streams.put(EXPIRED)
    put_list(cluster, "50", one("b", "40"))
    put_stream(cluster)
    assert [cluster.versions.get(timeout=PATIENCE) for _ in range(2)] == ["5", "50"]
    assert set(reflector.objects(PATIENCE)) == {"b"}


def test_watch_that_reports_its_version_as_too_old_is_listed_again(cluster, reflector, changed):
    put_list(cluster, "5")
    stream = put_stream(cluster)
    stream.fed.put({"type": "ERROR", "object": {"kind": "Status", "code": 410}})
    stream.close()
    put_list(cluster, "50", one("b", "40"))
    put_stream(cluster)
    assert [cluster.versions.get(timeout=PATIENCE) for _ in range(2)] == ["5", "50"]
    assert set(reflector.objects(PATIENCE)) == {"b"}


def test_nothing_is_reported_while_the_server_does_not_answer(cluster, reflector, changed):
    put_list(cluster, "5", one("a", "1"))
    first = put_stream(cluster)
    assert set(reflector.objects(PATIENCE)) == {"a"}
    assert changed.acquire(timeout=PATIENCE)
    first.fed.put(event("MODIFIED", "a", "6"))
    assert changed.acquire(timeout=PATIENCE)
    cluster.streams.put(DOWN)
    first.close()
    cluster.versions.get(timeout=PATIENCE)
    cluster.versions.get(timeout=PATIENCE)
    cluster.versions.get(timeout=PATIENCE)  # tried again, so that the failure was noted
    with pytest.raises(ClusterError, match="connection refused"):
        reflector.objects(PATIENCE)
    put_stream(cluster)
    assert changed.acquire(timeout=PATIENCE)
    assert set(reflector.objects(PATIENCE)) == {"a"}


def test_list_that_fails_at_first_is_raised_and_tried_again(cluster, reflector, changed):
    cluster.lists.put(DOWN)
    with pytest.raises(ClusterError, match="connection refused"):
        reflector.objects(PATIENCE)
    put_list(cluster, "5", one("a", "1"))
    put_stream(cluster)
    assert changed.acquire(timeout=PATIENCE)
    assert set(reflector.objects(PATIENCE)) == {"a"}


def test_list_that_never_comes_is_not_waited_for(reflector):
    with pytest.raises(ClusterError, match="has not listed"):
        reflector.objects(Seconds(0.01))


def test_fault_of_the_thread_is_raised_and_the_list_is_watched_again(cluster, reflector, changed):
    cluster.lists.put(KeyError("metadata"))
    with pytest.raises(ClusterError, match="KeyError: 'metadata'"):
        reflector.objects(PATIENCE)
    put_list(cluster, "5", one("a", "1"))
    put_stream(cluster)
    assert changed.acquire(timeout=PATIENCE)
    assert set(reflector.objects(PATIENCE)) == {"a"}


def test_error_ends_with_a_list_though_the_watch_after_it_is_not_there_yet(cluster, reflector, changed):
    cluster.lists.put(DOWN)
    with pytest.raises(ClusterError, match="connection refused"):
        reflector.objects(PATIENCE)
    put_list(cluster, "5", one("a", "1"))
    assert changed.acquire(timeout=PATIENCE)
    assert set(reflector.objects(PATIENCE)) == {"a"}


def test_reflector_that_is_stopped_while_its_watch_begins_ends(cluster, reflector):
    put_list(cluster, "5")
    cluster.versions.get(timeout=PATIENCE)  # the watch is asked for, and not answered yet
    stopping = threading.Thread(target=reflector.stop)
    stopping.start()
    assert reflector._stopped.wait(PATIENCE)
    put_stream(cluster)
    reflector._thread.join(PATIENCE)
    assert not reflector._thread.is_alive()
    stopping.join()

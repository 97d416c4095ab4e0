"""The first request of a run, and an API server that is away for a moment."""

import threading

import pytest

from cnflow.clock import SystemClock
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.kubernetes_api.errors import ApiRejectedError, ClusterError, ClusterRejectedError
from cnflow.providers.kubernetes import connection
from cnflow.providers.kubernetes.connection import Connection

DOWN = ClusterError("connection refused")


class Starting:
    """A cluster whose API server answers once `failures` are raised; grants all rights."""

    server, namespace, source = "https://one", "ns", "context 'one'"

    def __init__(self, *failures):
        self.failures = list(failures)
        self.asked = 0

    def list_all(self, path, selector="", *, fields=""):
        return self._answer({"items": []})

    def get(self, path):
        return self._answer({"metadata": {}})

    def request(self, method, path, *, body=None, query=None):
        return self._answer({"status": {"allowed": True}})

    def close(self):
        pass

    def _answer(self, answer):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return answer


@pytest.fixture
def connect(monkeypatch):
    monkeypatch.setattr(connection, "_PAUSE", 0.01)

    def connect(cluster, *, is_ending=False):
        monkeypatch.setattr(connection, "connect", lambda settings: cluster)
        ending = threading.Event()
        if is_ending:
            ending.set()
        clock, settings = SystemClock(), KubernetesProvider()
        return Connection(settings, cache_dir=None, clock=clock, changed=lambda: None, is_ending=ending)

    return connect


def test_run_begins_though_the_api_server_is_away_for_a_moment(connect, caplog):
    cluster = Starting(DOWN, DOWN)
    connect(cluster).check_once()
    assert not cluster.failures
    assert caplog.text.count("times at the most: connection refused") == 2


def test_api_server_that_stays_away_is_not_waited_for_for_ever(connect):
    cluster = Starting(*[DOWN] * 100)
    with pytest.raises(ClusterError, match="connection refused"):
        connect(cluster).check_once()
    assert cluster.asked == 6


@pytest.mark.parametrize(
    "refusal",
    [ApiRejectedError("https://one", 401, "Unauthorized", "no"), ClusterRejectedError("no certificate")],
    ids=["answer", "settings"],
)
def test_refusal_is_reported_at_once(connect, refusal):
    cluster = Starting(refusal, refusal)
    with pytest.raises(type(refusal)):
        connect(cluster).check_once()
    assert cluster.asked == 1


def test_end_of_the_run_ends_the_wait_for_the_first_answer(connect):
    cluster = Starting(*[DOWN] * 100)
    with pytest.raises(ClusterError, match="connection refused"):
        connect(cluster, is_ending=True).check_once()
    assert cluster.asked == 1

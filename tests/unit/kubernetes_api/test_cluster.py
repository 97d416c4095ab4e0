"""Requests to an API server: a stand-in on a loopback port answers as a test wants."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from cnflow.config.kubernetes import KubernetesProvider
from cnflow.kubernetes_api import cluster as cluster_module
from cnflow.kubernetes_api.cluster import MERGE_PATCH, Cluster, ClusterAddress
from cnflow.kubernetes_api.credentials import load_credentials
from cnflow.kubernetes_api.errors import ApiError, ApiRejectedError, ClusterError
from cnflow.units import Seconds


class Server(ThreadingHTTPServer):
    """Answers requests in turn by `answers`, and keeps them in `seen`."""

    daemon_threads = True

    def __init__(self):
        self.seen = []
        self.answers = []
        self.released = threading.Event()
        self.gate = lambda: None
        self.drops = 0
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, self.headers, body))
        if self.server.drops:
            self.server.drops -= 1
            self.close_connection = True  # without an answer, like a connection that was kept too long
            return
        self.server.gate()
        status, headers, answer = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if isinstance(answer, bytes):
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in answer:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
        self.server.released.wait(30)
        self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815 - names of the base class

    def log_message(self, *parts):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def write(tmp_path, server):
    def write(token="first"):
        content = {
            "current-context": "one",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "config").write_text(yaml.safe_dump(content))

    write()
    return write


@pytest.fixture
def cluster(write, tmp_path):
    cluster = Cluster.connect(ClusterAddress(str(tmp_path / "config")))
    yield cluster
    cluster.close()


def status(code, message="no", reason="Some", headers=()):
    return code, dict(headers), json.dumps({"kind": "Status", "message": message, "reason": reason}).encode()


def test_request_carries_body_query_and_credentials(cluster, server):
    server.answers = [(200, {}, b'{"a": 1}')]
    answer = cluster.request("PATCH", "/x", body={"b": 2}, query={"q": "a b"}, content_type=MERGE_PATCH)
    (method, path, headers, body) = server.seen[0]
    assert answer == {"a": 1}
    assert (method, path, json.loads(body)) == ("PATCH", "/x?q=a+b", {"b": 2})
    assert headers["Content-Type"] == MERGE_PATCH
    assert headers["Authorization"] == "Bearer first"


def test_refusal_is_raised_and_a_missing_object_is_none(cluster, server):
    server.answers = [status(422, "invalid"), status(404, "not found")]
    with pytest.raises(ApiRejectedError, match="invalid"):
        cluster.request("POST", "/x", body={})
    assert cluster.get("/x") is None


def test_server_has_as_long_for_a_request_as_the_settings_give_it(write, tmp_path, server):
    server.answers = [status(429, headers={"Retry-After": "1"})]
    hasty = Cluster.connect(ClusterAddress(str(tmp_path / "config")), Seconds(0.5))
    with pytest.raises(ApiError):
        hasty.request("GET", "/x")
    hasty.close()


def test_page_of_a_proxy_is_no_answer(cluster, server):
    server.answers = [(200, {}, b"<html>Sign in</html>")]
    with pytest.raises(ClusterError, match="is no API server"):
        cluster.request("GET", "/x")


def test_expired_credentials_are_loaded_anew_once(cluster, server, write):
    server.answers = [status(401), (200, {}, b"{}")]
    write("second")
    assert cluster.request("GET", "/x") == {}
    assert [headers["Authorization"] for _, _, headers, _ in server.seen] == ["Bearer first", "Bearer second"]
    server.answers = [status(401), status(401)]
    with pytest.raises(ApiRejectedError, match="sign in again"):
        cluster.request("GET", "/x")


def test_credentials_that_many_threads_find_expired_are_loaded_anew_once(cluster, server, write, monkeypatch):
    threads = 6
    server.answers = [*[status(401)] * threads, *[(200, {}, b"{}")] * threads]
    server.gate = threading.Barrier(threads, timeout=10).wait  # all have sent the old ones when the first is refused
    loads = []

    def load(address):
        loads.append(address)
        return load_credentials(address)

    monkeypatch.setattr(cluster_module, "load_credentials", load)
    write("second")
    with ThreadPoolExecutor(threads) as pool:
        assert [*pool.map(lambda _: cluster.request("GET", "/x"), range(threads))] == [{}] * threads
    assert len(loads) == 1
    sent = [headers["Authorization"] for _, _, headers, _ in server.seen]
    assert sent == ["Bearer first"] * threads + ["Bearer second"] * threads


def test_watch_whose_credentials_have_expired_begins_with_others(cluster, server, write):
    server.answers = [status(401), (200, {}, [b'{"type": "ADDED"}\n'])]
    write("second")
    stream = cluster.watch("/x", "7")
    assert next(iter(stream)) == {"type": "ADDED"}
    stream.close()
    assert [headers["Authorization"] for _, _, headers, _ in server.seen] == ["Bearer first", "Bearer second"]


def test_request_waits_as_long_as_the_server_asks(cluster, server):
    server.answers = [status(429, headers={"Retry-After": "0.1"}), (201, {}, b"{}")]
    assert cluster.request("POST", "/x", body={}) == {}
    server.answers = [status(429, headers={"Retry-After": "3600"})]
    with pytest.raises(ApiError):
        cluster.request("POST", "/x", body={})


def test_requests_of_the_blocks_that_a_provider_submits_are_not_held_back(cluster):
    traits = KubernetesProvider().traits()
    each = 3  # Secret, Job, and the Secret's new owner
    assert not any(cluster._limit.reserve() for _ in range(each * traits.submit_at_once))
    assert cluster._limit._rate >= each * traits.submits_per_second


def test_list_is_read_page_by_page(cluster, server):
    server.answers = [
        (200, {}, json.dumps({"metadata": {"continue": "next", "resourceVersion": "7"}, "items": [1]}).encode()),
        (200, {}, json.dumps({"metadata": {"resourceVersion": "7"}, "items": [2]}).encode()),
    ]
    assert cluster.list_all("/x", "a=b") == ([1, 2], "7")
    assert server.seen[1][1] == "/x?labelSelector=a%3Db&limit=500&continue=next"


def test_watch_yields_events_until_another_thread_closes_it(cluster, server):
    server.answers = [(200, {}, [b'{"type": "ADD', b'ED"}\n{"type": "MODIFIED"}\n', b'{"type": "BOOKMARK"}\n'])]
    stream = cluster.watch("/x", "7")
    events = iter(stream)
    assert [next(events)["type"] for _ in range(3)] == ["ADDED", "MODIFIED", "BOOKMARK"]
    closer = threading.Timer(0.1, stream.close)
    closer.start()
    assert list(events) == []
    closer.join()


def test_watch_from_a_version_that_is_too_old_is_refused_as_gone(cluster, server):
    server.answers = [status(410, "too old resource version", "Expired")]
    with pytest.raises(ApiError) as refused:
        cluster.watch("/x", "1")
    assert refused.value.status == 410


def test_server_that_does_not_answer_is_named(cluster, server):
    server.server_close()
    server.shutdown()
    with pytest.raises(ClusterError, match=rf"127\.0\.0\.1:{server.server_port} \(context 'one' of .*does not answer"):
        cluster.request("GET", "/x", timeout=Seconds(2.0))


def test_get_is_sent_again_where_a_kept_connection_is_dead(cluster, server):
    server.drops, server.answers = 1, [(200, {}, b"{}")]
    assert cluster.request("GET", "/x") == {}
    assert len(server.seen) == 2


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_request_that_may_have_arrived_is_not_sent_again(cluster, server, method):
    server.drops = 1
    with pytest.raises(ClusterError, match="does not answer"):
        cluster.request(method, "/x")
    assert len(server.seen) == 1

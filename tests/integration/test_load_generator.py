"""The generator of load on served models, before a server that answers, fails, stalls or closes."""

import http.server
import socket
import threading
import time

import pytest

from benchmarks.serving.load import Generator, Plan, Target


class Server(http.server.ThreadingHTTPServer):
    """Answers as the path says."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if self.path == "/slow":
            time.sleep(0.3)
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            return
        self.send_response(503 if self.path == "/busy" else 200)
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


def load(server, path, **plan):
    bodies = [b"[1]", b"[2, 3]"]

    def check(index, status, body):
        return "" if (status, body) == (200, bodies[index]) else f"{status}"

    return Generator(Target(server.url(path), bodies), Plan(**{"connections": 2, "requests": 20, **plan}), check).run()


@pytest.mark.parametrize("path", ["", "chunked", "close"])
def test_each_answer_is_that_of_its_request(server, path):
    figures = load(server, path)
    assert (figures.answered, figures.failed, len(figures.latencies)) == (20, 0, 20)
    assert 0 < figures.percentile(0.5) <= figures.percentile(0.99) < 5


def test_answers_of_another_status_and_cut_connections_have_failed(server):
    assert load(server, "busy").failures == {"503": 20}
    assert load(server, "cut").failed == 20


def test_no_answer_in_time_is_a_failure(server):
    assert load(server, "slow", requests=2, timeout=0.05).failures == {"no answer in time": 2}


def test_latency_of_an_open_loop_counts_from_when_a_request_was_due(server):
    figures = load(server, "slow", connections=1, requests=4, rate=100.0)
    assert figures.failed == 0
    assert max(figures.latencies) > 0.9, "the fourth was due after 0.03 s, and three were before it"


def test_load_ends_after_its_seconds(server):
    figures = load(server, "", seconds=0.3, requests=10**9)
    assert 0.3 <= figures.seconds < 5
    assert figures.failed == 0


def test_load_is_sent_to_this_machine_alone():
    with pytest.raises(ValueError, match="this machine alone"):
        Generator(Target("http://192.0.2.1:80/", [b"x"]), Plan())

"""Asking a web service for one's own address, with a real one on this machine."""

import http.server
import threading

import pytest

from cnflow.addresses import address_by_query
from cnflow.errors import ConfigurationError


@pytest.fixture
def service():
    """A web service on this machine: ``service(status, body)`` gives its address."""
    servers = []

    def answering(status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Quiet."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield answering
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("body", [b"192.0.2.7", b"192.0.2.7\n", b" 2001:db8::7\n"])
def test_a_web_service_is_taken_at_its_word_when_that_is_an_address(service, body):
    assert address_by_query(5, url=service(200, body)) == body.decode().strip()


@pytest.mark.parametrize("body", [b"<html>192.0.2.7</html>", b"", b"\xff\xfe", b"192.0.2.7 or so"])
def test_a_page_that_is_no_address_never_becomes_one(service, body):
    with pytest.raises(ConfigurationError, match="which is no address"):
        address_by_query(5, url=service(200, body))


def test_a_web_service_that_fails_gives_no_address(service):
    with pytest.raises(OSError, match="503"):
        address_by_query(5, url=service(503, b"192.0.2.7"))

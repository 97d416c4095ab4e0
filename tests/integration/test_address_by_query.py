"""`address_by_query`, with a real web service on this machine."""

import http.server
import threading

import pytest

from cnflow.addresses import address_by_query
from cnflow.errors import ConfigurationError


@pytest.fixture
def service():
    """Web service on this machine: ``service(status, body)`` starts it and returns its URL."""
    servers = []

    def start(status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Do not log."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("body", [b"192.0.2.7", b"192.0.2.7\n", b" 2001:db8::7\n"])
def test_address_in_the_reply_is_returned(service, body):
    assert address_by_query(5, url=service(200, body)) == body.decode().strip()


@pytest.mark.parametrize("body", [b"<html>192.0.2.7</html>", b"", b"\xff\xfe", b"192.0.2.7 or so"])
def test_reply_that_is_no_address_is_an_error(service, body):
    with pytest.raises(ConfigurationError, match="which is no address"):
        address_by_query(5, url=service(200, body))


def test_error_status_of_the_service_is_an_error(service):
    with pytest.raises(OSError, match="503"):
        address_by_query(5, url=service(503, b"192.0.2.7"))

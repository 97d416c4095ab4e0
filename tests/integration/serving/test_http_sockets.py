"""The HTTP front on real sockets: what clients do wrong, TLS, keys that change, and the end without a lost request."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from cnflow.config.http_front import HttpSettings
from cnflow.errors import ConfigurationError
from cnflow.serving.http.server import HttpServer, build_app, listen
from tests.unit.serving.http.fake_service import EchoService

CHUNKED = b"transfer-encoding: chunked\r\n"
PREDICT = "/v1/models/iris:predict"


@contextlib.contextmanager
def served(service=None, **options):
    """Serve, and yield the port and the server."""
    settings = HttpSettings(**{"port": 0, **options})
    server = HttpServer(build_app(service or EchoService(), settings), settings, [listen(settings)])
    server.start()
    try:
        yield server
    finally:
        server.stop()


def connect(server, data=b""):
    found = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    found.sendall(data)
    return found


def head(path=PREDICT, length=None, extra=b""):
    size = b"" if length is None else b"content-length: %d\r\n" % length
    return b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\n%b%b\r\n" % (path.encode(), size, extra)


def rest_of(connection):
    """Return all bytes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def answer_on(connection):
    """Return status, headers and body of one response."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def ask(server, body=b"[1]", method="POST", path=PREDICT, headers=None):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()


def test_connection_is_used_again_and_pipelined():
    with served() as server:
        request = head(length=3) + b"[1]"
        with connect(server, request + request.replace(b"[1]", b"[2]")) as connection:
            stream = connection.makefile("rb")
            bodies = []
            for _ in range(2):
                assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
                while stream.readline() != b"\r\n":
                    pass
                bodies.append(stream.read(3))
            assert bodies == [b"[1]", b"[2]"]


def test_old_client_is_answered_and_its_connection_closed():
    with served() as server:
        request = head(length=3).replace(b"HTTP/1.1", b"HTTP/1.0") + b"[1]"
        with connect(server, request) as connection:
            text = rest_of(connection)
        assert text.endswith(b"\r\n\r\n[1]")
        assert b"connection: close" in text


def test_body_may_come_in_chunks_and_byte_by_byte():
    with served() as server:
        request = head(extra=CHUNKED) + b"1\r\n[\r\n3\r\n1]\n\r\n0\r\n\r\n"
        with connect(server) as connection:
            for place in range(len(request)):
                connection.send(request[place : place + 1])
            assert answer_on(connection)[2] == b"[1]"


def test_large_bodies_go_both_ways():
    with served() as server:
        rows = json.dumps(["x" * 1000] * 4000, separators=(",", ":")).encode()
        assert ask(server, rows) == (200, rows)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nhost: a\r\nbad header: 1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n", 431),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 2_000_000, 431),
    ],
)
def test_bytes_that_are_no_request_are_refused(sent, status):
    with served() as server:
        with connect(server) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(sent)
            text = rest_of(connection)
        assert text.startswith(b"HTTP/1.1 %d " % status) or (text == b"" and status == 431)  # reset while it still sent
        assert ask(server)[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST",
        head(length=3)[:-2],
        head(length=3) + b"[1",
        head(extra=CHUNKED) + b"1\r\n[",
    ],
)
def test_slow_client_is_cut_off(sent):
    service = EchoService()
    with served(service, head_timeout=1.0, body_timeout=1.0) as server:
        began = time.monotonic()
        with connect(server, sent) as connection:
            text = rest_of(connection)
        assert 0.9 < time.monotonic() - began < 8
        assert b" 408 " in text.split(b"\r\n")[0]
        assert service.calls == []


def test_many_slow_clients_do_not_keep_others_out():
    with served(head_timeout=1.0) as server, contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(server, b"POST /v1/models/iris:predict HTTP/1.1\r\n"))
        assert ask(server)[0] == 200


def test_connection_above_the_most_is_refused():
    with served(max_connections=2) as server, connect(server), connect(server):
        time.sleep(0.2)
        with connect(server) as third:
            assert rest_of(third).startswith(b"HTTP/1.1 503 ")


def test_client_that_does_not_read_is_cut_off():
    service = EchoService()
    service.results = b"[" + b"1," * 30_000_000 + b"1]"
    with served(service, send_timeout=1.0) as server, connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(head(length=3) + b"[1]")
        deadline = time.monotonic() + 10
        while server.connections and time.monotonic() < deadline:
            time.sleep(0.1)
        assert server.connections == 0


def test_body_that_is_too_large_is_refused_before_it_comes():
    with served(max_body=1024) as server:
        with connect(server, head(length=10**12, extra=b"expect: 100-continue\r\n")) as connection:
            assert answer_on(connection)[0] == 413
        endless = head(extra=CHUNKED) + b"fff\r\n" + b"1" * 0xFFF + b"\r\n"
        with connect(server, endless) as connection:
            assert answer_on(connection)[0] == 413


def test_connection_goes_on_after_a_body_that_was_too_large():
    with served(max_body=1024) as server, connect(server, head(length=5000) + b"1" * 5000) as connection:
        assert answer_on(connection)[0] == 413
        connection.sendall(head(length=3) + b"[1]")
        assert answer_on(connection)[2] == b"[1]"


@pytest.mark.parametrize("verb", ["predict", "stream"])
def test_call_of_a_client_that_goes_is_cancelled(verb):
    service = EchoService()
    service.delay, service.pieces = 60.0, [b"1", 60.0, b"2"]
    with served(service) as server:
        connection = connect(server, head(f"/v1/models/iris:{verb}", 3) + b"[1]")
        deadline = time.monotonic() + 10
        while not service.calls and time.monotonic() < deadline:
            time.sleep(0.02)
        connection.close()
        while service.cancelled + service.closed == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert service.cancelled + service.closed == 1


def test_pieces_come_one_by_one():
    service = EchoService()
    service.pieces = [b"1", 0.5, b"2"]
    with served(service) as server, connect(server, head("/v1/models/iris:stream", 3) + b"[1]") as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        began = time.monotonic()
        assert response.readline() == b"data: 1\n"
        assert time.monotonic() - began < 0.4
        assert b"event: end" in response.read()


def test_drain_loses_no_request_and_refuses_new_ones():
    service = EchoService()
    service.delay = 0.8
    with served(service, drain_delay=0.3) as server, connect(server) as idle:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(ask(server)[0])) for _ in range(20)]
        for thread in threads:
            thread.start()
        while len(service.calls) < 20:
            time.sleep(0.01)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        time.sleep(0.1)
        assert ask(server, method="GET", path="/readyz")[0] == 503
        assert ask(server, method="GET", path="/healthz")[0] == 200
        stopping.join()
        for thread in threads:
            thread.join()
        assert answers == [200] * 20
        assert rest_of(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(server)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [("POST", PREDICT, b"[1]", 200), ("POST", PREDICT, b"{", 400), ("GET", "/readyz", None, 503)],
)
def test_answers_of_a_server_that_drains_close_their_connections(method, path, body, status):
    """Else a client's next request may be on its way when its connection ends."""
    with served(drain_delay=0.5) as server, connect(server, head(length=3) + b"[1]") as kept:
        assert "connection" not in answer_on(kept)[1]
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        time.sleep(0.1)
        length = b"" if body is None else b"content-length: %d\r\n" % len(body)
        kept.sendall(b"%b %b HTTP/1.1\r\nhost: a\r\n%b\r\n%b" % (method.encode(), path.encode(), length, body or b""))
        found, headers, _ = answer_on(kept)
        assert (found, headers.get("connection")) == (status, "close")
        assert rest_of(kept) == b""
        stopping.join()


def test_request_that_does_not_end_is_cut_off_at_last():
    service = EchoService()
    service.delay = 60.0
    with served(service, drain_timeout=1.0) as server:
        connection = connect(server, head(length=3) + b"[1]")
        while not service.calls:
            time.sleep(0.01)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 8
        assert answer_on(connection)[0] == 503
        connection.close()


def test_keys_of_a_file_are_read_again(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# callers\nann  ann-key-1\n")
    with served(key_file=keys) as server:

        def status(key):
            return ask(server, headers={"authorization": f"Bearer {key}"})[0]

        assert (status("ann-key-1"), status("bob-key-1")) == (200, 401)
        keys.write_text("bob bob-key-1\n")
        server.reload()
        assert (status("ann-key-1"), status("bob-key-1")) == (401, 200)
        keys.write_text("bob\n")
        server.reload()
        assert status("bob-key-1") == 200


def ask_over_tls(server, context):
    """Return the body of the answer, and the name in the server's certificate."""
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
        secure.sendall(head(length=3) + b"[1]")
        subject = dict(each[0] for each in secure.getpeercert()["subject"])
        return answer_on(secure)[2], subject["commonName"]


def certificate(folder, name="localhost"):
    """Write a certificate and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "1",
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName=DNS:{name},IP:127.0.0.1",
            "-keyout",
            key,
            "-out",
            cert,
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_tls_is_served_with_a_certificate_that_may_be_replaced(tmp_path):
    cert, key = certificate(tmp_path)
    with served(tls_cert=cert, tls_key=key) as server:

        def asked():
            return ask_over_tls(server, ssl.create_default_context(cafile=str(cert)))

        assert asked() == (b"[1]", "localhost")
        with connect(server, head(length=3) + b"[1]") as plain:
            assert rest_of(plain)[:4] != b"HTTP"
        new, new_key = certificate(tmp_path, "renewed")
        new.replace(cert)
        new_key.replace(key)
        server.reload()
        assert asked() == (b"[1]", "renewed")
        good = cert.read_text()
        cert.write_text("no certificate")
        server.reload()
        cert.write_text(good)
        assert asked() == (b"[1]", "renewed")


def test_tls_may_want_a_certificate_of_the_client(tmp_path):
    cert, key = certificate(tmp_path)
    with served(tls_cert=cert, tls_key=key, tls_client_ca=cert) as server:
        context = ssl.create_default_context(cafile=str(cert))
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask_over_tls(server, context)
        context.load_cert_chain(cert, key)
        assert ask_over_tls(server, context)[0] == b"[1]"


def test_tls_without_a_certificate_is_explained(tmp_path):
    settings = HttpSettings(port=0, tls_cert=tmp_path / "none.pem")
    with listen(settings) as listener, pytest.raises(ConfigurationError, match=r"none\.pem"):
        HttpServer(build_app(EchoService(), settings), settings, [listener])


def test_port_that_is_taken_is_explained():
    with listen(HttpSettings(port=0)) as listener, pytest.raises(ConfigurationError, match="port=0"):
        listen(HttpSettings(port=listener.getsockname()[1]))


def test_damaged_binary_tensors_never_end_the_server():
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}
    json_part = json.dumps({"inputs": [tensor]}).encode()
    whole = json_part + struct.pack("<4f", 1, 2, 3, 4)
    with served() as server:
        for cut in range(0, len(whole), 7):
            headers = {"inference-header-content-length": str(len(json_part))}
            assert ask(server, whole[:cut], path="/v2/models/iris/infer", headers=headers)[0] == 400
        for length in ("-1", "1e3", "999999", "99999999999999", "x"):
            headers = {"inference-header-content-length": length}
            assert ask(server, whole, path="/v2/models/iris/infer", headers=headers)[0] == 400


def test_front_serves_in_a_loop_that_runs():
    async def serve_and_ask():
        settings = HttpSettings(port=0)
        server = HttpServer(build_app(EchoService(), settings), settings, [listen(settings)])
        serving = asyncio.ensure_future(server.serve())
        status, _ = await asyncio.to_thread(ask, server)
        server.drain()
        await serving
        return status

    assert asyncio.run(serve_and_ask()) == 200

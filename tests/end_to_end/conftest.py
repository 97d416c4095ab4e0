"""HTTP and FTP servers on this machine, from which tests download files."""

import base64
import http.server
import threading
import warnings

import pytest


class Web:
    """HTTP server with settable content; records its requests."""

    def __init__(self):
        self.files = {}
        """Content by path."""
        self.troubles = {}
        """Replies that precede the content, by path: a status, or "short" for half of the content."""
        self.passwords = {}
        """``user:password`` that a request needs, by path."""
        self.asked = []
        self.url = ""

    def add(self, path, content):
        self.files[path] = content
        return self.url + path


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        web, path = self.server.web, self.path
        web.asked.append(path)
        trouble = web.troubles[path].pop(0) if web.troubles.get(path) else None
        wanted = web.passwords.get(path)
        if wanted and self.headers.get("Authorization") != f"Basic {base64.b64encode(wanted.encode()).decode()}":
            trouble = 401
        content = web.files.get(path)
        status = trouble if isinstance(trouble, int) else 404 if content is None else 200
        body = content if status == 200 else b"<html>this is no data</html>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if trouble == "short" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.web = Web()
    server.web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.web
    server.shutdown()
    server.server_close()
    thread.join()


class Ftp:
    """FTP server: its folder, its anonymous and its password URL."""

    def __init__(self, folder, port):
        self.folder = folder
        self.anonymous = f"ftp://127.0.0.1:{port}"
        self.with_password = f"ftp://ann:p%40ss@127.0.0.1:{port}"
        self.port = port


@pytest.fixture
def ftp(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports the deprecated asyncore
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.servers import FTPServer
    for name in ("public", "private"):
        (tmp_path / "ftp" / name).mkdir(parents=True)
    users = DummyAuthorizer()
    users.add_anonymous(str(tmp_path / "ftp" / "public"))
    users.add_user("ann", "p@ss", str(tmp_path / "ftp" / "private"))
    handler = type("Handler", (FTPHandler,), {"authorizer": users, "log": lambda *_, **__: None})
    server = FTPServer(("127.0.0.1", 0), handler)
    done = threading.Event()

    def serve():
        while not done.is_set():
            server.serve_forever(timeout=0.02, blocking=False, handle_exit=False)
        server.close_all()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Ftp(tmp_path / "ftp", server.address[1])
    done.set()
    thread.join()

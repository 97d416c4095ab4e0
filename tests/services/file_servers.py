"""nginx with TLS, uploads and passwords, FTP servers with TLS, and a proxy; each is started and ended by a test."""

import contextlib
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import warnings
from pathlib import Path

SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_NGINX = """\
daemon off; worker_processes 1; error_log {root}/error.log; pid {root}/pid; {user}
events {{ worker_connections 64; }}
http {{
  access_log {root}/access.log; client_body_temp_path {root}/body; proxy_temp_path {root}/tmp; default_type text/plain;
  fastcgi_temp_path {root}/tmp; uwsgi_temp_path {root}/tmp; scgi_temp_path {root}/tmp; client_max_body_size 64m;
  server {{
    listen 127.0.0.1:{port} ssl; listen 127.0.0.2:{port} ssl; listen 127.0.0.1:{plain};
    server_name localhost; root {root}/files;
    ssl_certificate {root}/server.pem; ssl_certificate_key {root}/server.key;
    location /up/ {{ dav_methods PUT MKCOL DELETE; client_max_body_size 8m; }}
    location /secret/ {{ if ($http_authorization != "Bearer t0ken") {{ return 403; }} dav_methods PUT; }}
    location /gz/ {{ gzip on; gzip_min_length 1; gzip_proxied any; add_header Content-Encoding gzip; }}
    location /loop/a {{ return 302 /loop/b; }}
    location /loop/b {{ return 302 /loop/a; }}
    location /moved/ {{ return 307 /up/$uri; }}
    location /away {{ return 302 {other}/steal; }}
    location /full/ {{ return 507; }}
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder):
    """Make an authority (``ca.pem``) and a certificate of localhost that it has signed."""
    folder = Path(folder)
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    run = lambda *argv: subprocess.run([*argv], cwd=folder, check=True, capture_output=True)  # noqa: E731
    run(*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority of a test")
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    signed = [
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-keyout",
        "server.key",
        "-out",
        "server.pem",
        "-subj",
        "/CN=localhost",
    ]
    run(*new, *signed, *names)


class Nginx:
    """One nginx: its folder of files and its URLs."""

    def __init__(self, root, port, plain):
        self.root = Path(root)
        self.files = self.root / "files"
        self.url = f"https://localhost:{port}"
        self.plain = f"http://localhost:{plain}"
        self.port = port
        self.ca_file = str(self.root / "ca.pem")

    def log(self):
        return (self.root / "access.log").read_text()


@contextlib.contextmanager
def nginx(root, other="http://localhost:1"):
    """Start nginx in *root*; its ``/away`` redirects to *other*."""
    root = Path(root)
    server = Nginx(root, free_port(), free_port())
    for name in ("files/up", "files/secret", "files/gz"):
        (root / name).mkdir(parents=True)
    make_certificate(root)
    user = "user root;" if os.geteuid() == 0 else ""
    plain = server.plain.rpartition(":")[2]
    (root / "conf").write_text(_NGINX.format(root=root, user=user, port=server.port, plain=plain, other=other))
    program = shutil.which("nginx", path=SYSTEM_PATH)
    process = subprocess.Popen([program, "-c", str(root / "conf"), "-p", str(root), "-e", str(root / "start.log")])
    try:
        _wait_for(server.port, process)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port, process):
    for _ in range(500):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        assert process.poll() is None, "nginx ended"
        threading.Event().wait(0.02)
    raise AssertionError("nginx does not listen")


class FtpServer:
    """One FTP server: its folder and its URLs."""

    def __init__(self, folder, scheme, port):
        self.folder = Path(folder)
        self.anonymous = f"{scheme}://localhost:{port}"
        self.with_password = f"{scheme}://ann:p%40ss@localhost:{port}"
        self.commands = []


@contextlib.contextmanager
def ftp_server(folder, certificates, scheme="ftpes", **attributes):
    """Start an FTP server that asks for TLS: agreed upon (``ftpes``) or from the first byte (``ftps``)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports the deprecated asyncore
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
        from pyftpdlib.servers import FTPServer
    Path(folder).mkdir(exist_ok=True)
    users = DummyAuthorizer()
    users.add_user("ann", "p@ss", str(folder), perm="elradfmwMT")
    users.add_anonymous(str(folder))
    seen = []

    class Handler(FTPHandler if scheme == "ftp" else TLS_FTPHandler):
        authorizer = users
        auth_failed_timeout = 0
        log = log_cmd = lambda *_, **__: None

        def handle(self):
            if scheme == "ftps":
                self.secure_connection(self.ssl_context)
            else:
                super().handle()

        def handle_ssl_established(self):
            if scheme == "ftps":
                super().handle()

        def pre_process_command(self, line, cmd, arg):
            seen.append(line)
            super().pre_process_command(line, cmd, arg)

    if scheme != "ftp":
        Handler.certfile = _joined(Path(certificates))
        Handler.tls_control_required = Handler.tls_data_required = True
    for name, value in attributes.items():
        setattr(Handler, name, value)
    server = FTPServer(("127.0.0.1", 0), Handler)
    made = FtpServer(folder, scheme, server.address[1])
    made.commands = seen
    with _served(server):
        yield made


@contextlib.contextmanager
def _served(server):
    done = threading.Event()

    def serve():
        while not done.is_set():
            server.serve_forever(timeout=0.02, blocking=False, handle_exit=False)
        server.close_all()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _joined(folder):
    both = folder / "both.pem"
    both.write_text((folder / "server.pem").read_text() + (folder / "server.key").read_text())
    return str(both)


class _Proxy(socketserver.StreamRequestHandler):
    """Answers ``CONNECT`` and absolute ``GET``; wants a password where the server has one."""

    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        method, target, _ = head.split(b"\r\n")[0].decode().split()
        self.server.asked.append((method, target))
        if self.server.password and f"Proxy-Authorization: {self.server.password}".lower() not in head.decode().lower():
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        place = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = place.partition(":")
        with socket.create_connection((host, int(port or 80)), 10) as other:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                other.sendall(head.replace(f"http://{place}".encode(), b""))
            back = threading.Thread(target=_pump, args=(other, self.connection), daemon=True)
            back.start()
            _pump(self.connection, other)
            back.join()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy(password=""):
    """Start an HTTP proxy; yield its address and the list of its requests."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Proxy)
    server.daemon_threads, server.block_on_close = True, False
    server.asked, server.password = [], password
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", server.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

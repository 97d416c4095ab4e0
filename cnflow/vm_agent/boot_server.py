"""``python boot_server.py FOLDER CODE GRACE [PORT]``: gives machines that boot their code and their orders, by TLS.

::

    FOLDER/  certificate, key        made by the driver
             entries/NAME            by the hash of its token: a line of JSON with block and rank, then the order of
                                     one machine, a tar; put and removed by the driver
             claims/NAME             nonce of the machine that has used the token
             reports/BLOCK.RANK      what a machine has reported
    GET  /TOKEN/NONCE/code           CODE, an archive, or a folder of which one is made
    GET  /TOKEN/NONCE/order          the entry
    POST /TOKEN/NONCE/report         last lines of a boot that failed, or of a manager that ended

The folder is read at each call, so that the driver needs no connection to this process: it writes files, by ssh where
the interchange is far. Prints one line, ``cnflow-boot-server {"port": N}``, then nothing. Its standard input is the
driver's: GRACE seconds after that has ended, the server ends. Needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import pathlib
import socket
import ssl
import sys
import tarfile
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Optional

if __name__ == "__main__":  # started by its path: no package is installed beside the interchange
    sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent.parent)

from cnflow.vm_agent.boot_claims import CODE, ORDER, REFUSAL, REPORT, Call, entry_name, parse_path, rule_on

if TYPE_CHECKING:
    from collections.abc import Sequence

READY = "cnflow-boot-server "
"""Start of the line with the port."""

_PATIENCE = 60.0
"""Seconds that a peer may be silent."""

_LONGEST_REPORT = 65536
_MOST_PEERS = 256
_PIECE = 1 << 18


class Shelf:
    """Files of one boot server. Safe from any thread.

    Args:
        folder: see the module.
        code: archive of the capsule, or its folder.
    """

    def __init__(self, folder: pathlib.Path, code: pathlib.Path) -> None:
        self._folder = folder
        self._code = code
        self._lock = threading.Lock()
        for name in ("entries", "claims", "reports"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def admit(self, call: Call) -> str:
        """Claim the token of *call*; return the reason of a refusal, or an empty text."""
        name = entry_name(call.token)
        claim = self._folder / "claims" / name
        with self._lock:
            is_known = (self._folder / "entries" / name).is_file()
            ruling = rule_on(call, is_known=is_known, claimed_by=claim.read_text() if claim.is_file() else "")
            if ruling.claims:
                claim.write_text(call.nonce)
        if is_known and not ruling.is_allowed:
            self.report(call, f"cnflow: refused a second machine: {ruling.words}\n".encode())
        return ruling.words

    def content(self, call: Call) -> BinaryIO:
        """Open what answers *call*.

        Raises:
            OSError: it cannot be read.
        """
        if call.what == ORDER:
            return io.BytesIO(self._entry(call).partition(b"\n")[2])
        return (self._archive() if self._code.is_dir() else self._code).open("rb")

    def report(self, call: Call, content: bytes) -> None:
        """Keep what the machine of *call* has reported."""
        about = json.loads(self._entry(call).partition(b"\n")[0])
        with self._lock, (self._folder / "reports" / f"{about['block']}.{about['rank']}").open("ab") as file:
            file.write(content[-_LONGEST_REPORT:])

    def _entry(self, call: Call) -> bytes:
        return (self._folder / "entries" / entry_name(call.token)).read_bytes()

    def _archive(self) -> pathlib.Path:
        """Make the archive of the code's folder, once."""
        made = self._folder / "code.tgz"
        with self._lock:
            if not made.is_file():
                draft = self._folder / f"code.{os.getpid()}"
                with tarfile.open(draft, "w:gz", compresslevel=3, format=tarfile.USTAR_FORMAT) as tar:
                    tar.add(self._code, arcname=".")
                draft.replace(made)
        return made


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one call. A request of HTTP/0.9, such as that by `openssl s_client`, gets an answer without a head."""

    server: Server
    timeout = _PATIENCE

    def setup(self) -> None:
        """Shake hands here, in the peer's own thread: one that is silent holds up nobody."""
        self.request.settimeout(_PATIENCE)
        self.request.do_handshake()
        super().setup()

    def finish(self) -> None:
        """End TLS in order: `openssl s_client` takes anything else for a failure."""
        super().finish()
        with contextlib.suppress(OSError):  # the peer has gone, which is its right
            self.request.unwrap()

    def do_GET(self) -> None:
        """Send code or order."""
        call = self._call()
        if call is None or call.what not in {CODE, ORDER}:
            return
        try:
            file = self.server.shelf.content(call)
        except OSError as error:
            self._refuse(f"the boot server cannot read what the machine needs: {error}")
            return
        with file:
            self._head(file.seek(0, io.SEEK_END))
            file.seek(0)
            self._copy(file)

    def do_POST(self) -> None:
        """Keep a report."""
        call = self._call()
        if call is None or call.what != REPORT:
            return
        size = self.headers.get("Content-Length", "")
        content = self.rfile.read(min(int(size), _LONGEST_REPORT)) if size.isdigit() else b""
        self.server.shelf.report(call, content)
        self._head(0)

    def _call(self) -> Optional[Call]:
        call = parse_path(self.path)
        words = "no such path" if call is None else self.server.shelf.admit(call)
        if words:
            self._refuse(words)
        return None if words else call

    def _refuse(self, words: str) -> None:
        content = f"{REFUSAL}{words}\n".encode()
        self._head(len(content))  # 200: GNU wget would hide the words of an error
        self.wfile.write(content)

    def _head(self, size: int) -> None:
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def _copy(self, file: BinaryIO) -> None:
        while piece := file.read(_PIECE):
            self.wfile.write(piece)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the standard library's names
        """Print nothing: the path holds a token."""


class Server(http.server.ThreadingHTTPServer):
    """Listens on all addresses, of both families where the machine has both."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, shelf: Shelf, context: ssl.SSLContext, host: str, port: int) -> None:
        self.shelf = shelf
        self._context = context
        self._peers = threading.Semaphore(_MOST_PEERS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind to both families where the address is of the newer one."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a peer; `Handler.setup` shakes hands with it."""
        peer, address = super().get_request()
        return self._context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False), address

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the base class
        """Serve a peer unless there are too many."""
        with self._peers:
            super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as in the base class
        """Print one line: a peer that breaks off, or is none of ours, is no event."""
        with contextlib.suppress(OSError):  # whoever read the output has gone
            print(f"boot server: {client_address[0]}: {sys.exc_info()[1]!r}", file=sys.stderr)


def open_server(folder: pathlib.Path, code: pathlib.Path, port: int = 0) -> Server:
    """Return a server that listens on *port*, or on any where that is taken.

    Raises:
        OSError: it cannot listen, or files are missing.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "certificate", folder / "key")
    shelf = Shelf(folder, code)
    problems = []
    for host, wanted in (("::", port), ("0.0.0.0", port), ("::", 0)):  # noqa: S104 - machines of blocks are others
        try:
            return Server(shelf, context, host, wanted)
        except OSError as error:  # no IPv6 here, or the port is taken
            problems.append(error)
    raise problems[-1]


def main(arguments: Sequence[str]) -> int:
    """Serve until the driver has been gone for the grace."""
    folder, code, grace = pathlib.Path(arguments[0]), pathlib.Path(arguments[1]), float(arguments[2])
    server = open_server(folder, code, *map(int, arguments[3:4]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(READY + json.dumps({"port": server.server_address[1]}), flush=True)
    while os.read(0, 4096):
        pass
    time.sleep(grace)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

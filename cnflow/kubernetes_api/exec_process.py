"""Process that runs a command in a pod, with its own stdin, stdout and stderr as those of the command.

::

    driver ── pipe: ExecRequest ──────────> exec_process ══ WebSocket, TLS ══> API server ──> kubelet ──> command
       └───── stdin ──────────────────────────> │ 0 ─────────────────────────────────────────────────────> stdin
              stdout <───────────────────────── │ 1 <───────────────────────────────────────────────────── stdout
              stderr <───────────────────────── │ 2 <───────────────────────────────────────────────────── stderr
                                     ends <──── │ 3 <── exit code

Started by its path, ``python -I ROOT/cnflow/kubernetes_api/exec_process.py DESCRIPTOR``, since only the standard
library is needed: it is there in 60 ms. The request comes through a pipe, since it holds credentials, and perhaps
later, once there is a pod.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:
    sys.path[:] = [str(Path(__file__).resolve().parent.parent.parent), *sys.path[1:]]

from cnflow.kubernetes_api.pump import FAILED, Pump
from cnflow.kubernetes_api.websocket import (
    EXEC_PROTOCOLS,
    STATUS,
    STDERR,
    STDOUT,
    SUCCESS,
    StreamAddress,
    UpgradeRefusedError,
    connect,
    exit_code_of,
)

_CONNECT_TIMEOUT = 20.0


@dataclass(frozen=True)
class ExecRequest:
    """Content of the pipe."""

    address: str = ""
    """`StreamAddress` as JSON."""

    path: str = ""
    """Of the command in the API, with the query."""

    output: str = ""
    """Written to stdout in place of running a command."""

    error: str = ""
    """Written to stderr in place of running a command."""

    def to_json(self) -> bytes:
        """Content of the pipe."""
        return json.dumps(asdict(self)).encode()


def run(request: ExecRequest) -> int:
    """Run the command of *request*; return the exit code of this process."""
    if request.output:
        os.write(sys.stdout.fileno(), request.output.encode())
        return 0
    try:
        if request.error or not request.path:
            raise ConnectionError(request.error or "the driver sent no request")
        stream = connect(StreamAddress.from_json(request.address), request.path, EXEC_PROTOCOLS, _CONNECT_TIMEOUT)
        try:
            outputs = {STDOUT: sys.stdout.fileno(), STDERR: sys.stderr.fileno()}
            status = Pump(stream, outputs=outputs, end=STATUS).run()
        finally:
            stream.close()
        if not status and stream.can_close_channels:
            raise ConnectionError("the API server closed the connection")
        code, words = exit_code_of(status or SUCCESS)
        if code < 0:
            raise ConnectionError(words)
    except (OSError, UpgradeRefusedError) as error:
        sys.stderr.write(f"cnflow: the connection with the pod: {error}\n")
        return FAILED
    return code


def main() -> None:
    """Read the request from the descriptor that the argument names, and run it."""
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        content = pipe.read()
    sys.exit(run(ExecRequest(**json.loads(content or b"{}"))))


if __name__ == "__main__":
    main()

"""Commands in a pod, through ``pods/exec`` of the API server: run to their end, or connected with a process here.

::

    run_in_pod(cluster, target, argv) ──> WebSocket ──> exit code, stdout, stderr
    exec_argv(descriptor) ──> argv of `exec_process`      request_for(cluster, target, argv) ──> for its pipe

The user needs the rights ``get`` and ``create`` on ``pods/exec``; servers before 1.35 check only the first.
"""

from __future__ import annotations

import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from cnflow.kubernetes_api import exec_process, paths
from cnflow.kubernetes_api.errors import ClusterError, api_error
from cnflow.kubernetes_api.exec_process import ExecRequest
from cnflow.kubernetes_api.websocket import (
    CLOSE,
    EXEC_PROTOCOLS,
    STATUS,
    STDERR,
    STDIN,
    STDOUT,
    StreamAddress,
    UpgradeRefusedError,
    connect,
    exit_code_of,
)
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.kubernetes_api.cluster import Cluster
    from cnflow.kubernetes_api.websocket import WebSocket

_CONNECT_TIMEOUT = 20.0
_TIMEOUT = Seconds(60.0)
_CHUNK = 64 * 1024


class ExecTarget(NamedTuple):
    """Container of a pod."""

    namespace: str
    pod: str
    container: str


class Completed(NamedTuple):
    """A command that ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes


def exec_path(target: ExecTarget, argv: Sequence[str], *, has_stdin: bool = True) -> str:
    """Return the path of a command in the API, with its query."""
    streams = [("stdin", "true")] if has_stdin else []
    query = [("container", target.container), *streams, ("stdout", "true"), ("stderr", "true")]
    words = [("command", word) for word in argv]
    return f"{paths.pods(target.namespace, target.pod, 'exec')}?{urlencode([*query, *words])}"


def exec_argv(descriptor: int) -> list[str]:
    """Return the command line of a process that gets its `ExecRequest` from the inherited *descriptor*."""
    return [sys.executable, "-I", str(Path(exec_process.__file__).resolve()), str(descriptor)]


def request_for(cluster: Cluster, target: ExecTarget, argv: Sequence[str]) -> ExecRequest:
    """Return the request that runs *argv* in a pod; it holds the user's credentials."""
    return ExecRequest(address=cluster.stream_address().to_json(), path=exec_path(target, argv))


def open_stream(cluster: Cluster, path: str, protocols: Sequence[str]) -> WebSocket:
    """Open a stream to a subresource of a pod.

    Raises:
        ApiError: the server refuses.
        ClusterError: it does not answer.
    """
    address: StreamAddress = cluster.stream_address()
    try:
        return connect(address, path, protocols, _CONNECT_TIMEOUT)
    except UpgradeRefusedError as error:
        raise api_error(address.server, error.status, error.body) from error
    except (OSError, ssl.SSLError) as error:
        raise ClusterError(f"The API server at {address.server} opens no stream: {error}") from error


def run_in_pod(
    cluster: Cluster, target: ExecTarget, argv: Sequence[str], *, stdin: bytes = b"", timeout: Seconds = _TIMEOUT
) -> Completed:
    """Run *argv* in a pod, and wait for its end.

    Raises:
        ApiError: the server refuses: no such pod, no right.
        ClusterError: no answer, or the command does not start or end; nothing is known of one that took too long.
    """
    stream = open_stream(cluster, exec_path(target, argv, has_stdin=bool(stdin)), EXEC_PROTOCOLS)
    deadline = time.monotonic() + timeout
    collected: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
    try:
        for start in range(0, len(stdin), _CHUNK):
            stream.send(STDIN, stdin[start : start + _CHUNK])
        if stdin and stream.can_close_channels:
            stream.send(CLOSE, bytes((STDIN,)))
        while not stream.is_closed and not collected[STATUS]:
            stream.raw.settimeout(max(0.01, deadline - time.monotonic()))
            for channel, data in stream.receive():
                collected.setdefault(channel, bytearray()).extend(data)
    except OSError as error:
        how = f"took longer than {timeout:.0f} s" if isinstance(error, TimeoutError) else f"was cut off: {error}"
        raise ClusterError(f"The command {argv[0]} in pod {target.pod} {how}.") from error
    finally:
        stream.close()
    code, words = exit_code_of(bytes(collected[STATUS]))
    if code < 0:
        raise ClusterError(f"The command {argv[0]} cannot be run in pod {target.pod}: {words or 'no answer came'}")
    return Completed(code, bytes(collected[STDOUT]), bytes(collected[STDERR]))

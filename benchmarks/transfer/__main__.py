"""``make bench-transfer``: files over the tasks' own connection, to nodes in network namespaces; needs root.

One run measures the line (bytes over a plain TCP connection, also into a file), and the same line with cnflow::

    1 GB to a task, and from it   10,000 files of 1 KB to a task, beside rsync   100 MB to 1,000 tasks on two nodes

and how much memory the driver has taken meanwhile.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnflow
from benchmarks.table import align
from cnflow import Config, File, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider
from cnflow.staging import BuiltInStaging
from tests.namespaces import Node

if TYPE_CHECKING:
    from cnflow.config import ExecutorSettings

MB = 10**6

_SINK = """
import socket, sys
server = socket.create_server(("", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
buffer, file = bytearray(2**20), open(sys.argv[1], "wb", buffering=0) if sys.argv[1] else None
while count := connection.recv_into(buffer):
    if file:
        file.write(memoryview(buffer)[:count])
connection.sendall(b"1")
"""


def _size_of(*files: Any, inputs: Any = ()) -> int:  # noqa: ANN401 - files
    """Bytes of all files, as the task sees them."""
    from pathlib import Path

    return sum(Path(file).stat().st_size for file in (*files, *inputs))


def _make(size: int, outputs: Any = ()) -> None:  # noqa: ANN401 - files
    """Write an output of *size* bytes."""
    import os
    from pathlib import Path

    piece = os.urandom(2**20)
    with Path(outputs[0]).open("wb") as file:
        file.writelines(piece for _ in range(size // len(piece)))


size_on = [python_app(executors=[f"node{number}"])(_size_of) for number in range(2)]
make = python_app(executors=["node0"])(_make)


def main() -> None:
    """Measure, and print the table."""
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="bench-transfer-", dir=options.folder) as name:
        folder = Path(name)
        nodes: list[Any] = [Node(folder) for _ in range(2)]  # type: ignore[no-untyped-call]
        try:
            rows = _measure(options, folder, nodes)
        finally:
            for node in nodes:
                node.remove()
    print("\n".join(align([["", "", ""], *rows], 1)))


def _measure(options: argparse.Namespace, folder: Path, nodes: list[Any]) -> list[list[str]]:
    rows: list[list[str]] = []
    if options.prefer:
        _prefer(os.getpid())
    large = folder / "large"
    _write(large, options.large)
    plain = max(_over_tcp(nodes[0], large, "") for _ in range(2))
    to_disk = max(_over_tcp(nodes[0], large, str(folder / "received")) for _ in range(2))
    rows.append([f"plain TCP, {options.large // MB} MB", f"{plain / MB:.0f} MB/s", ""])
    rows.append(["plain TCP, into a file", f"{to_disk / MB:.0f} MB/s", ""])
    third = folder / "third"
    _write(third, options.large // 3)
    nodes[0].limit_rate(options.line)
    slow = _over_tcp(nodes[0], third, "")
    nodes[0].limit_rate(None)
    with _load(folder, nodes):
        [future.result(120) for future in [size_of() for size_of in size_on]]
        if options.prefer:
            _prefer(os.getpid())
        memory = _memory()
        rows += _large(large, folder, options.large, plain, to_disk)
        rows.append(["driver's memory meanwhile", f"{(_peak() - memory) / MB:.0f} MB more", ""])
        nodes[0].limit_rate(options.line)
        seconds, _ = _timed(lambda: size_on[0](File(str(third))))
        rate = third.stat().st_size / seconds
        what = f"to a task, over a line of {options.line // MB} MB/s"
        rows.append([what, f"{rate / MB:.0f} MB/s", f"{rate / slow:.2f} of TCP, which has {slow / MB:.0f} MB/s"])
        nodes[0].limit_rate(None)
        rows += _small(options, folder)
        rows += _broadcast(options, folder, nodes)
    return rows


def _large(large: Path, folder: Path, size: int, plain: float, to_disk: float) -> list[list[str]]:
    seconds, total = _timed(lambda: size_on[0](File(str(large))))
    assert total == size
    rows = [_rate("to a task", size, seconds, plain, to_disk)]
    out = folder / "out"
    seconds, _ = _timed(lambda: make(size, outputs=[File(str(out))]))
    rows.append(_rate("from a task, with the writing of it", size, seconds, plain, to_disk))
    assert out.stat().st_size == size // 2**20 * 2**20
    out.unlink()
    return rows


def _small(options: argparse.Namespace, folder: Path) -> list[list[str]]:
    (folder / "small").mkdir()
    files = [folder / "small" / f"{number}" for number in range(options.small)]
    for number, file in enumerate(files):
        file.write_bytes(number.to_bytes(4, "big") * 256)
    inputs = [File(str(file)) for file in files]
    seconds, total = _timed(lambda: size_on[0](inputs=inputs))
    assert total == 1024 * len(files)
    rows = [[f"{len(files):,} files of 1 KB to a task", f"{seconds:.1f} s", f"{len(files) / seconds:.0f} files/s"]]
    if rsync := shutil.which("rsync"):
        each = _seconds_of_rsync(rsync, files[:20], folder)
        rows.append(["rsync, one file each, on this machine", f"{each * len(files):.1f} s", f"{1 / each:.0f} files/s"])
    return rows


def _broadcast(options: argparse.Namespace, folder: Path, nodes: list[Any]) -> list[list[str]]:
    file, size = folder / "broadcast", options.broadcast
    _write(file, size)
    before = [_carried(node) for node in nodes]
    begin = time.monotonic()
    futures = [size_on[n % 2](File(str(file))) for n in range(options.tasks)]
    assert {future.result(600) for future in futures} == {size}
    seconds = time.monotonic() - begin
    carried = sum(_carried(node) - was for node, was in zip(nodes, before, strict=True))
    what = f"{size // MB} MB to {options.tasks:,} tasks on 2 nodes"
    return [[what, f"{seconds:.1f} s", f"{carried / size:.2f} times over the cables"]]


def _load(folder: Path, nodes: list[Any]) -> Any:  # noqa: ANN401 - a context
    executors: list[ExecutorSettings] = [
        HighThroughputExecutor(
            label=f"node{number}",
            provider=LocalProvider(python=str(node.python)),
            address=node.address,
            max_workers=1,
            working_dir=str(folder / f"node{number}"),
            storage_access=[BuiltInStaging()],
        )
        for number, node in enumerate(nodes)
    ]
    for number in range(len(nodes)):
        (folder / f"node{number}").mkdir()
    return cnflow.load(Config(executors=executors, run_dir=str(folder / "runinfo")))


def _prefer(pid: int) -> None:
    """Let the kernel prefer *pid* and its descendants to other sessions: as on a machine that is otherwise idle."""
    Path(f"/proc/{pid}/autogroup").write_text("-15")
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            _prefer(int(child))


def _timed(call: Any) -> tuple[float, Any]:  # noqa: ANN401 - an app's call
    begin = time.monotonic()
    value = call().result(1200)
    return time.monotonic() - begin, value


def _rate(what: str, size: int, seconds: float, plain: float, to_disk: float) -> list[str]:
    rate = size / seconds
    return [what, f"{rate / MB:.0f} MB/s", f"{rate / plain:.2f} of TCP, {rate / to_disk:.2f} of TCP into a file"]


def _over_tcp(node: Any, file: Path, target: str) -> float:  # noqa: ANN401 - tests have no types
    import socket

    command = [node.python, "-c", _SINK, target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdout is not None
        port = int(sink.stdout.readline())
        with socket.create_connection((node.far_address, port)) as connection, file.open("rb") as data:
            begin = time.monotonic()
            connection.sendfile(data)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
            return file.stat().st_size / (time.monotonic() - begin)


def _seconds_of_rsync(rsync: str, files: list[Path], folder: Path) -> float:
    """Seconds of one rsync of one small file, without a network and a login."""
    begin = time.monotonic()
    for file in files:
        subprocess.run([rsync, str(file), str(folder / "copy")], check=True)
    return (time.monotonic() - begin) / len(files)


def _write(file: Path, size: int) -> None:
    piece = os.urandom(MB)
    with file.open("wb") as target:
        for number in range(size // MB):
            target.write(number.to_bytes(8, "big") + piece[8:])


def _carried(node: Any) -> int:  # noqa: ANN401 - tests have no types
    return int(Path(f"/sys/class/net/{node.cable}/statistics/tx_bytes").read_text())


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer", description=__doc__)
    parser.add_argument("--large", type=float, default=1000, metavar="MB", help="size of the large file")
    parser.add_argument("--line", type=float, default=125, metavar="MB", help="bytes per second of a slower line")
    parser.add_argument("--small", type=int, default=10_000, metavar="N", help="number of small files")
    parser.add_argument("--broadcast", type=float, default=100, metavar="MB", help="size of the file for all tasks")
    parser.add_argument("--tasks", type=int, default=1000, metavar="N", help="number of these tasks")
    parser.add_argument("--prefer", action="store_true", help="go before all other work of this machine")
    parser.add_argument("--folder", default=None, help="where the files are; by default that for temporary files")
    options = parser.parse_args()
    options.line = int(options.line) * MB
    options.large, options.broadcast = int(options.large) * MB, int(options.broadcast) * MB
    return options


if __name__ == "__main__":
    main()

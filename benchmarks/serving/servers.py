"""Starts and ends the servers that are measured, each in a session of its own, and finds how much memory they take."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import processes
from benchmarks.serving import peers
from benchmarks.serving.load import Generator, Plan, Target

if TYPE_CHECKING:
    from collections.abc import Collection

    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / "benchmarks" / ".venv-serving"
"""Environments of the peers, one each: their requirements do not go together."""

CNFLOW = "cnflow"
_KINDS = {
    "front": "cnflow.serving.processes.front",
    "interchange": "cnflow.interchange",
    "worker": "cnflow/worker/",
    "manager": "cnflow/manager/",
}
"""Part of the command line of each kind of process."""

_STARTS_WITHIN = 240.0


class System(NamedTuple):
    """A system that serves the models."""

    module: str
    """Module that is run."""

    path: str
    """Path of the URL; ``{model}`` is the model's name."""

    requirement: str = ""
    """Package that is installed into an environment of its own; empty for cnflow itself."""


SYSTEMS = {
    CNFLOW: System("benchmarks.serving.ours", "/v1/models/{model}:predict"),
    "Ray Serve": System("benchmarks.serving.peers.ray_serve", peers.PATHS["ray_serve"], "ray[serve]"),
    "BentoML": System("benchmarks.serving.peers.bento", peers.PATHS["bento"], "bentoml"),
    "LitServe": System("benchmarks.serving.peers.lit", peers.PATHS["lit"], "litserve"),
}


def install(names: Collection[str]) -> dict[str, str]:
    """Install the peers of *names* that are missing; return why each that failed did, by name."""
    failed: dict[str, str] = {}
    for name in names:
        folder, requirement = _environment(name), SYSTEMS[name].requirement
        if not requirement or (folder / "made").exists():
            continue
        command = [str(ROOT / ".ci" / "venv"), str(folder), sys.executable, "numpy", requirement]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "LATEST": "1"}, check=False, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            failed[name] = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    return failed


class Server:
    """A running server of one model; a context manager that ends all of its processes."""

    def __init__(self, name: str, model: str, *options: str) -> None:
        self.system = SYSTEMS[name]
        self._name = name
        self._model = model
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._port = _free_port()
        self._log = Path(os.environ.get("TMPDIR", "/tmp")) / f"cnflow-bench-{os.getpid()}-{self._port}.log"  # noqa: S108

    @property
    def url(self) -> str:
        """Where rows are sent."""
        return f"http://127.0.0.1:{self._port}{self.system.path.format(model=self._model)}"

    def __enter__(self) -> Self:
        processes.adopt_orphans()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also where this was started in the background
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        python = str(_environment(self._name) / "bin" / "python") if self.system.requirement else sys.executable
        command = [python, "-m", self.system.module, "--port", str(self._port), "--model", self._model]
        path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *self._options],
                cwd=ROOT,
                env={**os.environ, "PATH": path, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def wait(self, target: Target) -> None:
        """Return once the server answers *target*.

        Raises:
            RuntimeError: it has ended, or does not answer in minutes; with the end of its output.
        """
        assert self._process is not None
        deadline = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            if not Generator(target, Plan(1, 20.0, 1, timeout=20.0)).run().failed:
                return
            time.sleep(0.2)
        raise RuntimeError(self._log.read_text(errors="replace")[-2000:])

    def pids(self) -> list[int]:
        """Process ids of the server and of all that it started, also of those in sessions of their own."""
        assert self._process is not None
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # it has ended
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        found = {self._process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def memory_by_kind(self) -> dict[str, int]:
        """Bytes that its processes have for themselves alone, and their share of what they have together, by kind."""
        assert self._process is not None
        found: Counter[str] = Counter()
        for pid in self.pids():
            found["server" if pid == self._process.pid else _kind_of(pid)] += _pss(pid)
        return dict(sorted(found.items()))

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        processes.end_all(2)  # also what it left behind, which `adopt_orphans` made this process's own
        self._process.poll()
        self._log.unlink(missing_ok=True)


def _environment(name: str) -> Path:
    return VENVS / name.lower().replace(" ", "-")


def _kind_of(pid: int) -> str:
    """Name of the role of a process, by its command line."""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for kind, module in _KINDS.items():
            if module in command:
                return kind
    return "others"


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port

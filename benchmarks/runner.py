"""Runs systems in child processes, under hard time limits, and collects their figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from select import select
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import processes
from benchmarks.systems import SYSTEMS
from benchmarks.work import WORKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.work import Figures, Sizes

ROOT = Path(__file__).resolve().parents[1]
_START_LIMIT = 60.0
_STOP_LIMIT = 30.0
_EXIT_LIMIT = 2.0


class Outcome(NamedTuple):
    """Figures of one work, or the problem."""

    work: str
    figures: Figures
    problem: str


class Runner:
    """Starts child processes with *python*, each in a folder that is removed afterwards."""

    def __init__(self, python: str) -> None:
        self.python = python
        processes.adopt_orphans()

    def run(self, system: str, works: Sequence[str], sizes: Sizes) -> Iterator[Outcome]:
        """Yield outcomes of the start, of each of *works*, and of the stop; start again after a work that hangs."""
        left = list(works)
        while True:
            with tempfile.TemporaryDirectory(prefix="b-", ignore_cleanup_errors=True) as folder:
                for outcome in self._once(system, left, sizes, Path(folder)):
                    yield outcome
                    if outcome.work in left:
                        left.remove(outcome.work)
            if outcome.work in {"first", "stop"} or not left:
                return

    def import_time(self, system: str) -> Iterator[Outcome]:
        """Yield the import time of the system's package in a fresh interpreter."""
        module = SYSTEMS[system].module
        if module:
            code = f"import time; b = time.perf_counter(); import {module}; print(time.perf_counter() - b)"
            done = subprocess.run([self.python, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
            if done.returncode == 0:
                yield Outcome("import", {"s": float(done.stdout)}, "")

    def _once(self, system: str, works: list[str], sizes: Sizes, folder: Path) -> Iterator[Outcome]:
        stderr = folder / "stderr"
        with stderr.open("wb") as log:
            child = subprocess.Popen(
                [self.python, "-m", "benchmarks.child", system, json.dumps(sizes), *works],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=_environment(self.python, folder),
            )
        assert child.stdout is not None
        lines = _Lines(child.stdout.fileno())
        limits = {"first": _START_LIMIT, **{work: WORKS[work].limit for work in works}, "stop": _STOP_LIMIT}
        for work, limit in limits.items():
            line = lines.next(limit)
            if line is None:
                how = "no answer within" if child.poll() is None else "its process ended after less than"
                yield Outcome(work, {}, f"{how} {limit:.0f} s; {_last_line(stderr)}")
                processes.end_all(0.0)
                break
            outcome = Outcome(**line)
            yield outcome
            if outcome.work == "first" and outcome.problem:
                break
        child.stdout.close()
        killed = processes.end_all(_EXIT_LIMIT)
        child.poll()
        if killed:
            print(f"{system} left {killed} processes behind", file=sys.stderr)


class _Lines:
    """JSON lines from a pipe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = b""

    def next(self, limit: float) -> dict[str, Any] | None:
        """Return the next line; None after *limit* seconds without one, or at the end of the pipe."""
        deadline = time.monotonic() + limit
        while b"\n" not in self._data:
            left = deadline - time.monotonic()
            if left <= 0 or not select([self._fd], [], [], left)[0]:
                return None
            data = os.read(self._fd, 65536)
            if not data:
                return None
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


def _environment(python: str, folder: Path) -> dict[str, str]:
    """Environment of a child: scripts of *python* first, files of peers in *folder*, usage statistics of peers off."""
    return {
        **os.environ,
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
        "DASK_CONFIG": str(folder / "dask"),
        "RAY_TMPDIR": str(folder),
        "TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it printed nothing"

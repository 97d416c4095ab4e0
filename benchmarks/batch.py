"""``python -m benchmarks.batch``: what cnflow adds to a batch scheduler's own time; Slurm, as SLURM_CONF has it.

::

    first result:  load() ... first result of a task     minus   sbatch ... output of true
    many blocks:   load() ... the last of N managers is connected; submit, status, cancel of N jobs
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor, SlurmProvider

_LONGEST = 120.0
_LABEL = "bench"


@python_app
def nothing() -> None:
    """Return at once."""


def main() -> int:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--image", default="", help="image of the first result, such as a .sif; none is the bare node")
    parser.add_argument("--blocks", type=int, default=200, help="blocks that are started at once; 0 starts none")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = min(_seconds_of_true(Path(folder)) for _ in range(options.repeats))
        for title, image in [("bare node", ""), *([(options.image, options.image)] if options.image else [])]:
            whole = min(_seconds_to_first_result(folder, image) for _ in range(options.repeats))
            print(f"{title}: first result {whole:.2f} s, true {own:.2f} s, difference {whole - own:.2f} s")
        if options.blocks:
            connected, seconds = _seconds_to_managers(folder, options.blocks)
            print(f"{connected} of {options.blocks} managers connected in {seconds:.1f} s")
    return 0


def _seconds_of_true(folder: Path) -> float:
    output = folder / f"true-{time.monotonic_ns()}"
    began = time.monotonic()
    command = [shutil.which("sbatch") or "sbatch", "--output=/dev/null", f"--wrap=touch {output}"]
    subprocess.run(command, check=True, capture_output=True)
    while not output.exists() and time.monotonic() - began < _LONGEST:
        time.sleep(0.01)
    return time.monotonic() - began


def _config(folder: str, image: str, blocks: int) -> Config:
    provider = SlurmProvider(
        site_dir=f"{folder}/site", exclusive=False, poll_period=1, walltime=900, init_blocks=blocks, max_blocks=blocks
    )
    executor = HighThroughputExecutor(label=_LABEL, provider=provider, image=image, max_workers=1)
    return Config(executors=[executor], run_dir=f"{folder}/runinfo")


def _seconds_to_first_result(folder: str, image: str) -> float:
    began = time.monotonic()
    with cnflow.load(_config(folder, image, 1)):
        nothing().result(timeout=_LONGEST)
        return time.monotonic() - began


def _seconds_to_managers(folder: str, blocks: int) -> tuple[int, float]:
    began = time.monotonic()
    with cnflow.load(_config(folder, "", blocks)) as dfk:
        executor: Any = dfk.executors[_LABEL]
        while (connected := executor.connected_workers) < blocks and time.monotonic() - began < _LONGEST:
            time.sleep(0.05)
        return connected, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())

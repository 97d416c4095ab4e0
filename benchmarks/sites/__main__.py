"""``make bench-sites``: tasks/s through ssh beside those without, and seconds to the first result of a job.

Needs the Slurm and the sshd of ``tests/services/slurm/up`` and ``tests/services/sshd/up``. Rounds alternate, so that a
disturbance of the machine affects all; the best one counts.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnflow
from benchmarks import functions
from benchmarks.table import align
from cnflow import Config
from cnflow.channels import LocalChannel, SSHChannel
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import SlurmProvider
from cnflow.runtimes import ApptainerRuntime, NoRuntime
from tests.conftest import slurm_conf
from tests.services.sshd_server import Sshd

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config.channels import ChannelSettings

_WANTED = 0.7
"""Tasks/s through ssh, as a share of those without."""


def main() -> None:
    """Measure, and print the table."""
    options = _arguments()
    os.environ["SLURM_CONF"] = str(slurm_conf("slurm"))  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory(prefix="bench-sites-", dir="/tmp") as folder:
        server: Any = Sshd(Path(folder) / "sshd")  # type: ignore[no-untyped-call]
        try:
            rows = _measure(options, Path(folder), server)
        finally:
            server.stop()
    print("\n".join(align([["", "first result, s", "no-ops/s", "round trip, ms"], *rows], 1)))


def _measure(options: argparse.Namespace, folder: Path, server: Any) -> list[list[str]]:  # noqa: ANN401 - tests have no types
    over_ssh = SSHChannel(
        host="127.0.0.1",
        user=getpass.getuser(),
        port=server.port,
        key_file=str(server.folder / "user"),
        options=server.options(),
        environment={"SLURM_CONF": os.environ["SLURM_CONF"]},
    )
    kinds: dict[str, Callable[[], dict[str, float]]] = {
        "interchange beside the driver": lambda: _run(options, folder, LocalChannel(), "driver"),
        "interchange at the site, no ssh": lambda: _run(options, folder, LocalChannel(), "site"),
        "interchange at the site, through ssh": lambda: _run(options, folder, over_ssh, "site"),
    }
    best: dict[str, dict[str, float]] = {}
    true = min(_seconds_of_true() for _ in range(options.repeat))
    for number in range(options.repeat):
        for name, run in kinds.items():
            print(f"round {number + 1}: {name}", file=sys.stderr)
            found, known = run(), best.get(name, {})
            better = {
                key: (max if key == "per_s" else min)(value, known.get(key, value)) for key, value in found.items()
            }
            best[name] = better
    rows = [
        [name, f"{each['first']:.2f}", f"{each['per_s']:,.0f}", f"{each['trip'] * 1e3:.2f}"]
        for name, each in best.items()
    ]
    beside, _, through = best.values()
    share = through["per_s"] / beside["per_s"]
    rows.append(["srun true", f"{true:.2f}", "", ""])
    rows.append([f"no-ops/s through ssh: {share:.2f} of those beside the driver; the aim is {_WANTED}", "", "", ""])
    return rows


def _better(found: dict[str, float], known: dict[str, float]) -> dict[str, float]:
    return {key: (max if key == "per_s" else min)(value, known.get(key, value)) for key, value in found.items()}


def _run(options: argparse.Namespace, folder: Path, channel: ChannelSettings, place: Any) -> dict[str, float]:  # noqa: ANN401 - a literal of the settings
    provider = SlurmProvider(
        channel=channel,
        site_dir=str(folder / "site"),
        exclusive=False,
        walltime=600,
        runtime=ApptainerRuntime() if options.image else NoRuntime(),
    )
    executor = HighThroughputExecutor(provider=provider, max_workers=1, interchange=place, image=options.image)
    app = cnflow.python_app(functions.noop)
    with cnflow.load(Config(executors=[executor], run_dir=str(folder / "runinfo"))):
        began = time.perf_counter()
        app().result(300)
        first = time.perf_counter() - began
        for future in [app() for _ in range(500)]:
            future.result(300)
        began = time.perf_counter()
        for future in [app() for _ in range(options.tasks)]:
            future.result(300)
        burst = time.perf_counter() - began
        trips = []
        for _ in range(300):
            began = time.perf_counter()
            app().result(300)
            trips.append(time.perf_counter() - began)
    return {"first": first, "per_s": options.tasks / burst, "trip": sorted(trips)[len(trips) // 2]}


def _seconds_of_true() -> float:
    began = time.perf_counter()
    srun = shutil.which("srun") or "srun"
    subprocess.run([srun, "--quiet", "--ntasks=1", "true"], check=True)
    return time.perf_counter() - began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sites", description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000, help="no-ops of a round")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, of which the best one counts")
    parser.add_argument("--image", default="", help="run the tasks in this image, by Apptainer")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""``make bench``: runs the same work on all systems, several times each, and prints one table.

The systems take turns, so that a disturbance of the machine affects all of them; the best repeat counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import aims, peers, plot, table
from benchmarks.report import Report, load
from benchmarks.runner import Runner
from benchmarks.systems import DOCKER, ENCRYPTED, FLOOR, HTEX, POOL, SYSTEMS, THREADS
from benchmarks.work import Sizes

MAIN = ["trip", "burst", "chain", "fan", "megabytes", "arrays", "bash"]
SHORT = Sizes(10_000, 500, 1_000, 5_000, 400, 32, 16, 20_000, 5, 2.0)
SHORT_SYSTEMS = [FLOOR, HTEX, THREADS, POOL, DOCKER]
_AIM_OF_MEMORY = 1_000_000


def main() -> int:
    """Measure, or load a saved report, and print it."""
    options = _arguments()
    sizes = SHORT if options.short else Sizes()
    report = load(options.load) if options.load else measure(options, sizes)
    if options.json:
        report.save(options.json)
    found = aims.aims_of(report)
    print("\n".join(f"{name}: {fact}" for name, fact in report.facts.items()), end="\n\n")
    print(table.figures(report, {**sizes._asdict(), "trip": sizes.trips, "large": 10 * sizes.burst}))
    print(f"\n{table.aims(found)}")
    if options.plot:
        options.plot.write_text(plot.svg(report))
    return _check(aims.failed(found), options, sizes) if options.check else 0


def _check(failed: list[str], options: argparse.Namespace, sizes: Sizes) -> int:
    """Return 1 if a figure is below half of its aim in three measurements: one may be a disturbance of the machine."""
    for _ in range(2):
        if not failed:
            break
        print(f"\nBelow half of the aim, so measured again: {'; '.join(failed)}", file=sys.stderr)
        again = aims.failed(aims.aims_of(measure(options, sizes)))
        failed = [what for what in failed if what in again]
    if failed:
        print(f"\nBelow half of the aim: {'; '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measure(options: argparse.Namespace, sizes: Sizes) -> Report:
    """Run all systems and return their figures."""
    missing = {} if options.short else peers.install()
    runner = Runner(sys.executable if options.short else str(peers.PYTHON))
    names = options.only or (SHORT_SYSTEMS if options.short else list(SYSTEMS))
    report = Report(_facts(runner.python, names))
    begin = time.monotonic()
    for repeat in range(options.repeat):
        for name in names:
            entry = SYSTEMS[name]
            if entry.requirement in missing:
                report.add(name, "first", {}, f"not installed: {missing[entry.requirement]}")
                continue
            print(f"[{time.monotonic() - begin:4.0f} s] repeat {repeat + 1}: {name}", file=sys.stderr)
            for work, figures, problem in runner.import_time(name):
                report.add(name, work, figures, problem)
            for works, its_sizes in _children(name, sizes, options, first=repeat == 0):
                for work, figures, problem in runner.run(name, works, its_sizes):
                    if works is MAIN or works == ["fresh"] or work in works:
                        report.add(name, work, figures, problem)
            if name == DOCKER and "first" not in report.problems.get(DOCKER, {}):
                report.add(name, "bare", {"s": _docker_run()})
    report.facts["took"] = f"{time.monotonic() - begin:.0f} s"
    return report


def _children(name: str, sizes: Sizes, options: argparse.Namespace, *, first: bool) -> list[tuple[list[str], Sizes]]:
    """Works of each child process: memory is measured in a fresh process, and once."""
    long = options.long
    if name == DOCKER and options.short:
        return [(["fresh"], sizes)]  # the start, and containers of their own
    children = [(MAIN, sizes)]
    if first:
        whole = sizes._replace(memory=_AIM_OF_MEMORY, budget=1e3)  # without a time limit: the aim is that it ends
        children.append((["memory"], whole if long and name == HTEX else sizes))
    if name == DOCKER:
        children.append((["fresh"], sizes))
    if first and long and name in {FLOOR, HTEX, ENCRYPTED}:
        children.append((["large"], sizes))
    return children


def _docker_run() -> float:
    from benchmarks.systems.cnflow import IMAGE

    docker = shutil.which("docker")
    assert docker, "docker was used before"
    begin = time.perf_counter()
    subprocess.run([docker, "run", "--rm", "--init", IMAGE, "true"], check=True)
    return time.perf_counter() - begin


def _facts(python: str, names: list[str]) -> dict[str, str]:
    code = "import sys, importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
    needed = [SYSTEMS[name].requirement for name in names if SYSTEMS[name].requirement]
    wanted = dict.fromkeys(["cnflow", "pyzmq", "msgspec", "cloudpickle", *needed])
    done = subprocess.run([python, "-c", code, *wanted], check=False, capture_output=True, text=True)
    cpu = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), "?")
    return {
        "when": datetime.now(tz=timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores of {cpu}, {platform.system()} {platform.release()}",
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "versions": f"Python {platform.python_version()}, {done.stdout.strip()}",
    }


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="the floor, Python's pool and cnflow only, in 2 minutes")
    parser.add_argument("--long", action="store_true", help="also 100,000 no-ops, and 1,000,000 tasks queued")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure is below half of its aim")
    parser.add_argument("--repeat", type=int, default=3, help="repeats of each system")
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the main figures as SVG")
    parser.add_argument("--load", type=Path, metavar="FILE", help="print saved figures instead of measuring")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

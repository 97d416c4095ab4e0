"""Runs tasks while a fault strikes every second; exits with 1 if a task was lost, doubled or wrong, or a process left.

Usage: ``python tests/chaos/run.py --minutes 5 --seed 7 --image cnflow-base:3.11``;
``--markdown PAGE`` writes the table to a page.
"""

import argparse
import contextlib
import os
import random
import sys
import tempfile
from pathlib import Path

from faults import FAULTS
from machine_faults import MACHINE_FAULTS
from machines import machines_of_a_cloud
from network_faults import NETWORK_FAULTS
from pod_faults import POD_FAULTS
from pods import pods_of_an_own_cluster
from soak import NODE_CLOCK, Plan, Soak
from table import as_text, replace_table

from tests.clock_shift import build, write_shift

PER_MINUTE = 4000


def main() -> int:
    options = read_options()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    seconds = options.minutes * 60
    tasks = options.tasks or round(PER_MINUTE * options.minutes)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="cnflow-chaos-"))
    if options.network and not os.environ.get(NODE_CLOCK):
        run_with_clocks(folder, seed)
    print(f"{tasks} tasks over {seconds:.0f} s, a fault every second, seed {seed}, in {folder}", flush=True)
    faults = [*FAULTS, *NETWORK_FAULTS] if options.network else FAULTS
    plan = Plan(tasks, seconds, seed, folder, faults, image=options.image, has_nodes=options.network)
    with contextlib.ExitStack() as stack:
        if options.pods:
            pods = stack.enter_context(pods_of_an_own_cluster(folder, options.pods))
            plan = plan._replace(pods=pods, faults=[*plan.faults, *POD_FAULTS])
        if options.machines:
            machines = stack.enter_context(machines_of_a_cloud())
            plan = plan._replace(machines=machines, faults=[*plan.faults, *MACHINE_FAULTS])
        report = Soak(plan).run()
    print(as_text(report))
    if options.markdown:
        page = Path(options.markdown)
        page.write_text(replace_table(report, seed, page.read_text()))
    return 0 if report.is_good else 1


def run_with_clocks(folder: Path, seed: int) -> None:
    """Replace this process by one whose wall clock can be set, and which gives another to its nodes."""
    folder.mkdir(parents=True, exist_ok=True)
    shifts = {"CLOCK_SHIFT": folder / "driver-clock", NODE_CLOCK: folder / "node-clock"}
    for shift in shifts.values():
        write_shift(shift, 0)
    library = {"LD_PRELOAD": str(build(folder))}
    environment = {**os.environ, **library, **{name: str(file) for name, file in shifts.items()}}
    arguments = [*sys.argv[1:], "--seed", str(seed), "--folder", str(folder)]
    os.execve(sys.executable, [sys.executable, __file__, *arguments], environment)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="time over which tasks are submitted")
    parser.add_argument("--tasks", type=int, help=f"number of tasks (default: {PER_MINUTE} per minute)")
    parser.add_argument("--seed", type=int, help="seed of tasks and faults (default: random)")
    parser.add_argument("--image", default="", help="image of containers for some of the tasks")
    parser.add_argument("--pods", default="", metavar="IMAGE", help="image of pods of a new cluster; needs root")
    parser.add_argument("--machines", action="store_true", help="machines of the stand-in of EC2; needs root")
    parser.add_argument("--network", action="store_true", help="nodes on networks of their own; needs root and cc")
    parser.add_argument("--folder", help="folder of ledger and logs (default: a new one)")
    parser.add_argument("--markdown", metavar="PAGE", help="page in which to replace the table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

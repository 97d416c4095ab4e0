"""Runs tasks while a fault strikes every second; exits with 1 if a task was lost, doubled or wrong, or a process left.

Usage: ``python tests/chaos/run.py --minutes 5 --seed 7 --image cnflow-base:3.11``;
``--markdown PAGE`` writes the table to a page.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from faults import FAULTS
from soak import Plan, Soak
from table import as_text, replace_table

PER_MINUTE = 4000


def main() -> int:
    options = read_options()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    seconds = options.minutes * 60
    tasks = options.tasks or round(PER_MINUTE * options.minutes)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="cnflow-chaos-"))
    print(f"{tasks} tasks over {seconds:.0f} s, a fault every second, seed {seed}, in {folder}", flush=True)
    report = Soak(Plan(tasks, seconds, seed, folder, FAULTS, image=options.image)).run()
    print(as_text(report))
    if options.markdown:
        page = Path(options.markdown)
        page.write_text(replace_table(report, seed, page.read_text()))
    return 0 if report.is_good else 1


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="time over which tasks are submitted")
    parser.add_argument("--tasks", type=int, help=f"number of tasks (default: {PER_MINUTE} per minute)")
    parser.add_argument("--seed", type=int, help="seed of tasks and faults (default: random)")
    parser.add_argument("--image", default="", help="image of containers for some of the tasks")
    parser.add_argument("--folder", help="folder of ledger and logs (default: a new one)")
    parser.add_argument("--markdown", metavar="PAGE", help="page in which to replace the table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

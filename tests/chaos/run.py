"""Runs tasks while a fault strikes every second; ends with 1 when a task was lost, doubled or wrong, or a process left.

Usage: ``python tests/chaos/run.py --minutes 5 --seed 7 --image cnflow-base:3.11``; ``--markdown FILE`` keeps the table.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from faults import FAULTS
from soak import Plan, Soak
from table import as_text, written

PER_MINUTE = 4000


def main() -> int:
    options = read_options()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    seconds = options.minutes * 60
    tasks = options.tasks or round(PER_MINUTE * options.minutes)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="cnflow-chaos-"))
    print(f"{tasks} tasks over {seconds:.0f} s, a fault every second, seed {seed}, in {folder}", flush=True)
    account = Soak(Plan(tasks, seconds, seed, folder, FAULTS, image=options.image)).run()
    print(as_text(account))
    if options.markdown:
        page = Path(options.markdown)
        page.write_text(written(account, seed, page.read_text()))
    return 0 if account.is_good else 1


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long tasks are submitted")
    parser.add_argument("--tasks", type=int, help=f"how many; {PER_MINUTE} for each minute when it is not given")
    parser.add_argument("--seed", type=int, help="of all that is drawn; drawn itself when it is not given")
    parser.add_argument("--image", default="", help="runs some of the tasks in containers of it")
    parser.add_argument("--folder", help="for ledger and logs; a new one when it is not given")
    parser.add_argument("--markdown", metavar="PAGE", help="page in which the table is replaced")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

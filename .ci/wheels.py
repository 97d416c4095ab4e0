"""Record which wheels pip would choose for each kind of capsule, in tests/data/wheels.json; run by `make wheels`.

A dry resolution: nothing but metadata is downloaded. A test pins that each kind has a wheel of each package.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cnflow.capsule.kinds import MACHINES, NEWEST, OLDEST, PLATFORM_TAGS, Kind
from cnflow.capsule.packages import driver_requirements, pip_command

RECORD = Path(__file__).parents[1] / "tests" / "data" / "wheels.json"
SUPPORTED = [
    Kind(f"3.{minor}", machine, libc)
    for libc in PLATFORM_TAGS
    for machine in MACHINES
    for minor in range(OLDEST[1], NEWEST[1] + 1)
]


def resolve(kind: Kind) -> list[str]:
    """Return the names of the wheels that pip would choose for *kind*."""
    with tempfile.TemporaryDirectory() as folder:
        command = pip_command(kind, Path(folder), driver_requirements())
        position = command.index("--dest")
        options = ["--dry-run", "--ignore-installed", "--report", "-", "--target", folder]
        command = [*command[:3], "install", *command[4:position], *options, *command[position + 2 :]]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return sorted(item["download_info"]["url"].rpartition("/")[2] for item in json.loads(done.stdout)["install"])


if __name__ == "__main__":
    found = {}
    for kind in SUPPORTED:
        found[kind.slug] = resolve(kind)
        print(kind.slug, *found[kind.slug], file=sys.stderr)
    RECORD.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

"""Fills the folder that pods of pools copy: capsules, each named by its kind, and the script that chooses one."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from cnflow.capsule import capsule_folder, carried_kind, carrying_kind
from cnflow.capsule.start import START_SCRIPT


def main(folder: Path) -> None:
    """Write the capsule for this Python, and the one that carries it into images with another, or with none."""
    own = carrying_kind()
    carried = carried_kind(own.machine if own else "this machine", "an image", own)
    for kind in (replace(carried, carries_python=False), carried):
        shutil.copytree(capsule_folder(kind), folder / kind.slug)
    (folder / "carried").symlink_to(carried.slug)
    (folder / "start.sh").write_text(START_SCRIPT, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

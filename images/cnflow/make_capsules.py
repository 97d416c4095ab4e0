"""Fills the folder that pods of pools copy: a capsule that carries its Python, and the script that starts managers."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from cnflow.capsule import capsule_folder, carried_kind, carrying_kind
from cnflow.capsule.start import START_SCRIPT


def main(folder: Path) -> None:
    """Write the capsule that carries this Python; in images that have such a Python, that one runs its packages."""
    own = carrying_kind()
    carried = carried_kind(own.machine if own else "this machine", "an image", own)
    shutil.copytree(capsule_folder(carried), folder / carried.slug)
    for name in ("carried", replace(carried, carries_python=False).slug):
        (folder / name).symlink_to(carried.slug)
    (folder / "start.sh").write_text(START_SCRIPT, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

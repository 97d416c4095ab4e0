"""Makes the folder wheels: cnflow's wheel, and the list of what it and its extras for a cluster require."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

FOLDER = Path(__file__).parent / "wheels"
EXTRAS = ("kubernetes", "serving", "yaml")


def requirements() -> list[str]:
    """Return the packages that cnflow in this environment requires, with those of `EXTRAS`."""
    kept = []
    for line in metadata.requires("cnflow") or []:
        requirement, _, marker = line.partition(";")
        named = [extra for extra in EXTRAS if f"extra == '{extra}'" in marker or f'extra == "{extra}"' in marker]
        if "extra ==" not in marker:
            kept.append(line)
        elif named:
            kept.append(requirement.strip())
    return kept


def main() -> None:
    """Build the wheel of the clone that this file is in."""
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(FOLDER)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    (FOLDER / "requirements.txt").write_text("\n".join(requirements()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

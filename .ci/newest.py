"""Finds which new release of a dependency breaks which tests: ``make newest``, for a nightly job.

    all newest ── unit tests pass ──────────────────────────────────────> table, exit code 0
        │
        └── some fail ── for each package that has a new release:
                            the locked versions, and this one new ── the failed tests again ──> table, exit code 1

"Newest" is what pyproject.toml allows; "locked" is what constraints.txt names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-newest"
PYTHON = VENV / "bin" / "python"
INSTALLED = ["--editable", ".[all,test]"]


class Run(NamedTuple):
    """Outcome of one run of pytest."""

    failed: list[str]
    """Node ids; the files alone where they cannot be imported."""

    summary: str
    """The last line that pytest printed."""

    @property
    def first(self) -> str:
        """The first failed test, and how many more there are."""
        more = f" and {len(self.failed) - 1} more" if self.failed[1:] else ""
        return f"{self.failed[0]}{more}" if self.failed else self.summary


def main() -> int:
    """Install, test, print the table, and return the exit code."""
    install()
    locked = versions()
    install(LATEST="1")
    newest = versions()
    changed = {name: version for name, version in newest.items() if locked.get(name) != version}
    print(f"{len(changed)} packages have newer releases than constraints.txt names.")
    whole = test(["tests/unit"])
    print(f"With all of them: {whole.summary}")
    table = [("package", "locked", "newest", "unit tests")]
    for name, version in sorted(changed.items()):
        outcome = alone(name, version, whole.failed) if whole.failed else "pass"
        table.append((name, locked.get(name, "-"), version, outcome))
    if whole.failed and not any(row[3].startswith("FAIL") for row in table[1:]):
        print("No release breaks them alone. The tests that fail with all together:", *whole.failed, sep="\n    ")
    show(table)
    return 1 if whole.failed else 0


def install(**environment: str) -> None:
    """Make `VENV`, with the locked versions unless *environment* asks for others."""
    command: list[str] = [str(ROOT / ".ci" / "venv"), str(VENV), sys.executable, *INSTALLED]
    subprocess.run(command, check=True, env={**os.environ, **environment})


def versions() -> dict[str, str]:
    """Installed packages and their versions."""
    listing = subprocess.run(
        [str(PYTHON), "-m", "pip", "freeze", "--exclude-editable"], check=True, stdout=subprocess.PIPE
    )
    return dict(line.split("==") for line in listing.stdout.decode().split() if "==" in line)


def alone(name: str, version: str, tests: list[str]) -> str:
    """Outcome of *tests* with the locked versions, but *name* at *version*; with what this release itself needs."""
    install()
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "install", "--quiet", "--python", str(PYTHON), f"{name}=={version}"]
    if subprocess.run(command, check=False).returncode:
        return "cannot be installed"
    run = test(tests)
    return f"FAIL: {run.first}" if run.failed else "pass"


def test(tests: list[str]) -> Run:
    """Run pytest on *tests*."""
    command = [str(PYTHON), "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = done.stdout.strip().splitlines() or ["pytest printed nothing."]
    failed = [found[1] for line in lines if (found := re.match(r"(?:FAILED|ERROR) (.+?)(?: - |$)", line))]
    if done.returncode not in {0, 1} and not failed:
        failed = tests
    return Run(failed, lines[-1])


def show(table: list[tuple[str, str, str, str]]) -> None:
    """Print *table* in columns."""
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    for row in table:
        print(*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3], sep="  ")


if __name__ == "__main__":
    sys.exit(main())

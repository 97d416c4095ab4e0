"""Runs the tests of the released Parsl that exercise public behaviour on cnflow: ``make conformance``.

The release is fetched from PyPI for its test files alone; cnflow answers for ``parsl``. ``excluded.toml`` says which
tests are left out and why, ``passed.txt`` which have passed before and may not fail again.
"""

from __future__ import annotations

import argparse
import collections
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = ROOT / ".venv-conformance"
RELEASE = "2026.10.26"
NEEDED = ["pytest>=7.4,<8", "typeguard>=4,<5", "pandas>=2", "requests>=2", "psutil>=5.9", "flask>=3"]
"""What Parsl's tests import besides Parsl."""

CONFIGURATIONS = {"threads": "tests/configs/local_threads.py", "htex": "tests/configs/htex_local.py", "own": "local"}
"""Name here -> what ``--config`` of Parsl's tests is given; ``own`` runs those that bring their configuration."""

AIM = 0.95
LIMIT_S = 40.0
RUNS_AFTER_HANGS = 10


class Result(NamedTuple):
    """What became of one test in one configuration."""

    configuration: str
    test: str
    outcome: str
    why: str

    @property
    def name(self) -> str:
        """As in passed.txt: without its parameters, which some tests draw at random."""
        return f"{self.configuration} {self.test.partition('[')[0]}"


def main() -> int:
    """Run, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default=RELEASE, help="of Parsl; 'latest' is PyPI's newest (default: %(default)s)")
    parser.add_argument("--only", choices=CONFIGURATIONS, help="run one configuration")
    parser.add_argument("--update", action="store_true", help="write what passed into passed.txt")
    parser.add_argument("--verbose", action="store_true", help="show what pytest prints")
    parser.add_argument("tests", nargs="*", default=[], help="files or ids, such as tests/test_bash_apps")
    asked = parser.parse_args()
    python = make_venv()
    excluded = tomllib.loads((HERE / "excluded.toml").read_text(encoding="utf-8"))["excluded"]
    with tempfile.TemporaryDirectory(prefix="cnflow-conformance-") as folder:
        package = unpack_tests(python, asked.release, Path(folder))
        results = [
            result
            for name in CONFIGURATIONS
            if asked.only in {None, name}
            for result in run(python, package, name, excluded, asked.tests, verbose=asked.verbose)
        ]
    show(results, excluded)
    return judge(results, whole=not asked.tests and asked.only is None, update=asked.update)


def make_venv() -> Path:
    """A venv with cnflow and what the tests import; made once, as it stands in this folder's settings."""
    python = VENV / "bin" / "python"
    made = VENV / "made"
    wanted = "\n".join([*NEEDED, (ROOT / "pyproject.toml").read_text(encoding="utf-8")])
    if not made.exists() or made.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-e", ROOT, *NEEDED], check=True)
        made.write_text(wanted, encoding="utf-8")
    return python


def unpack_tests(python: Path, release: str, folder: Path) -> Path:
    """The release's tests as a folder ``parsl`` that holds nothing else."""
    wanted = "parsl" if release == "latest" else f"parsl=={release}"
    pip = [python, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=parsl", "-d", folder, wanted]
    subprocess.run(pip, check=True)
    archive = next(folder.glob("parsl-*"))
    whole = folder / "whole"
    if archive.suffix == ".zip":
        zipfile.ZipFile(archive).extractall(whole)
    else:
        shutil.unpack_archive(archive, whole, filter="data")
    package = folder / "parsl"
    shutil.copytree(next(whole.glob("*/parsl/tests")), package / "tests")
    (package / "__init__.py").touch()  # so that pytest finds the tests' names to begin with it
    shutil.rmtree(whole)
    archive.unlink()
    return package


def run(
    python: Path, package: Path, name: str, excluded: list[dict[str, str]], tests: list[str], *, verbose: bool
) -> list[Result]:
    """Results of one configuration; a run that a hanging test ended is followed by one without the tests so far."""
    results: dict[str, Result] = {}
    for _ in range(RUNS_AFTER_HANGS):
        before = len(results)
        finished = run_once(python, package, name, excluded, tests, results, verbose=verbose)
        if finished or len(results) == before:
            break
    failed = [result.test for result in results.values() if result.outcome in {"failed", "hung"}]
    again: dict[str, Result] = {}
    if failed:  # once more on their own: a busy machine is no reason
        run_once(python, package, name, excluded, failed, again, verbose=verbose)
    results.update({test: result for test, result in again.items() if result.outcome == "passed"})
    return list(results.values())


def run_once(  # noqa: PLR0913 - what it is to run, and what is known
    python: Path,
    package: Path,
    name: str,
    excluded: list[dict[str, str]],
    tests: list[str],
    results: dict[str, Result],
    *,
    verbose: bool,
) -> bool:
    """Run pytest and add to *results*; False when it did not come to its end."""
    lines = package.parent / "results.jsonl"
    lines.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "CONFORMANCE_TESTS": str(package / "tests"),
        "CONFORMANCE_RESULTS": str(lines),
        "CONFORMANCE_LIMIT": str(LIMIT_S),
        "CONFORMANCE_LEFT_OUT": json.dumps(
            [
                *(rule["test"] for rule in excluded if rule.get("configuration", name) == name),
                *map(glob.escape, results),
            ]
        ),
        "PYTHONPATH": os.pathsep.join([str(HERE / "hooks"), str(HERE), os.environ.get("PYTHONPATH", "")]),
    }
    argv = [python, "-P", "-m", "pytest", "-p", "plugin", "-p", "no:cacheprovider", "--config", CONFIGURATIONS[name]]
    argv += ["-q", "--rootdir", package, "--continue-on-collection-errors"]
    if os.geteuid() == 0:  # who may write anywhere cannot show that he may not
        argv += ["-m", "not unix_filesystem_permissions_required"]
    output = None if verbose else subprocess.DEVNULL
    argv += tests or ["tests"]
    done = subprocess.run(argv, check=False, cwd=package, env=environment, stdout=output, stderr=output)
    known = set(results)
    for line in lines.read_text(encoding="utf-8").splitlines() if lines.exists() else []:
        test, outcome, why = json.loads(line)
        if test not in known and (test not in results or results[test].outcome != "failed"):
            results[test] = Result(name, test, outcome, why)
    return done.returncode in {0, 1, 5}


def show(results: list[Result], excluded: list[dict[str, str]]) -> None:
    """Tables of what was run and left out, and each failure."""
    counts = collections.Counter((result.configuration, kind_of(result)) for result in results)
    print(f"{'configuration':<16}{'passed':>8}{'failed':>8}{'skipped':>9}")
    for name in [name for name in CONFIGURATIONS if any(result.configuration == name for result in results)]:
        print(f"{name:<16}" + "".join(f"{counts[name, kind]:>{w}}" for kind, w in KINDS.items()))
    totals = collections.Counter(kind_of(result) for result in results)
    print(f"{'all':<16}" + "".join(f"{totals[kind]:>{w}}" for kind, w in KINDS.items()))
    print(f"\nLeft out, by {len(excluded)} rules:")
    for reason, number in collections.Counter(rule["why"] for rule in excluded).most_common():
        print(f"{number:>4}  {reason}")
    for result in results:
        if kind_of(result) == "failed":
            print(f"\nFAILED {result.name}\n    {result.why}")


KINDS = {"passed": 8, "failed": 8, "skipped": 9}
"""Outcomes and the widths of their columns."""


def kind_of(result: Result) -> str:
    """The outcome, less how it failed."""
    return "failed" if result.outcome == "hung" else result.outcome


def judge(results: list[Result], *, whole: bool, update: bool) -> int:
    """1 when too few pass, or one fails that passed before."""
    failed = [result for result in results if kind_of(result) == "failed"]
    good = [result for result in results if result.outcome == "passed"]
    passed = {result.name for result in good} - {result.name for result in failed}
    before = set((HERE / "passed.txt").read_text(encoding="utf-8").splitlines())
    lost = sorted(before - passed if whole else before & {result.name for result in failed})
    share = len(good) / max(1, len(good) + len(failed))
    print(f"\n{len(good)} of {len(good) + len(failed)} passed, {share:.1%}; wanted are {AIM:.0%}.")
    if update and whole:
        (HERE / "passed.txt").write_text("".join(f"{name}\n" for name in sorted(passed)), encoding="utf-8")
        return 0
    for name in lost:
        print(f"Passed before and does not now: {name}")
    return 1 if lost or not results or (whole and share < AIM) else 0


if __name__ == "__main__":
    sys.exit(main())

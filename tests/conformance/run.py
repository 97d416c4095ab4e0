"""Runs the tests of the released Parsl that exercise public behaviour on cnflow: ``make conformance``.

    PyPI ──sdist──> parsl/tests alone ──> pytest with plugin.py, once for each configuration
                                             │   ``parsl`` is cnflow.compat.parsl
                                             │   a test hangs: the process exits, the rest runs in another
                                             │   a test fails: it runs once more, alone
                                             v
                                          tables; failure if a test of passed.txt fails, or too few pass

``excluded.toml`` lists excluded tests with their reasons, ``passed.txt`` those that passed before and must not fail.
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
INPUTS = [ROOT / "pyproject.toml", HERE / "constraints.txt", HERE / "requirements.in"]
"""Files that the environment is made from."""

CONFIGURATIONS = {"threads": "tests/configs/local_threads.py", "htex": "tests/configs/htex_local.py", "own": "local"}
"""Name here -> value of the tests' option ``--config``; ``own`` runs the tests that have their own configuration."""

AIM = 0.95
LIMIT_S = 40.0
RUNS_AFTER_HANGS = 10


class Result(NamedTuple):
    """Outcome of one test in one configuration."""

    configuration: str
    test: str
    outcome: str
    why: str

    @property
    def name(self) -> str:
        """Configuration and test, as in passed.txt; without parameters, which some tests draw at random."""
        return f"{self.configuration} {self.test.partition('[')[0]}"


def main() -> int:
    """Run the tests, print tables, and return the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument(
        "--release", default=RELEASE, help="release of Parsl; 'latest' is PyPI's newest (default: %(default)s)"
    )
    parser.add_argument("--only", choices=CONFIGURATIONS, help="run one configuration")
    parser.add_argument("--update", action="store_true", help="write the tests that passed to passed.txt")
    parser.add_argument("--verbose", action="store_true", help="show pytest's output")
    parser.add_argument("tests", nargs="*", default=[], help="files or ids, such as tests/test_bash_apps")
    options = parser.parse_args()
    python = make_venv()
    excluded = tomllib.loads((HERE / "excluded.toml").read_text(encoding="utf-8"))["excluded"]
    with tempfile.TemporaryDirectory(prefix="cnflow-conformance-") as folder:
        package = unpack_tests(python, options.release, Path(folder))
        results = [
            result
            for name in CONFIGURATIONS
            if options.only in {None, name}
            for result in run(python, package, name, excluded, options.tests, verbose=options.verbose)
        ]
    show(results, excluded)
    return judge(results, whole=not options.tests and options.only is None, update=options.update)


def make_venv() -> Path:
    """Make an environment with cnflow and the tests' packages; return its Python. Made anew when `INPUTS` change."""
    python = VENV / "bin" / "python"
    made = VENV / "made"
    wanted = "\n".join(path.read_text(encoding="utf-8") for path in INPUTS)
    if not made.exists() or made.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(VENV, ignore_errors=True)
        environment = {**os.environ, "CONSTRAINTS": str(HERE / "constraints.txt")}
        packages = ["--editable", ".", "--requirement", HERE / "requirements.in"]
        subprocess.run([ROOT / ".ci" / "venv", VENV, sys.executable, *packages], check=True, env=environment)
        made.write_text(wanted, encoding="utf-8")
    return python


def unpack_tests(python: Path, release: str, folder: Path) -> Path:
    """Download the release and return a folder ``parsl`` that holds only its tests."""
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
    (package / "__init__.py").touch()  # with it, the tests' names begin with "parsl." for pytest
    shutil.rmtree(whole)
    archive.unlink()
    return package


def run(
    python: Path, package: Path, name: str, excluded: list[dict[str, str]], tests: list[str], *, verbose: bool
) -> list[Result]:
    """Run one configuration and return the results; after a hanging test, run again without the tests so far."""
    results: dict[str, Result] = {}
    for _ in range(RUNS_AFTER_HANGS):
        before = len(results)
        finished = run_once(python, package, name, excluded, tests, results, verbose=verbose)
        if finished or len(results) == before:
            break
    failed = [result.test for result in results.values() if result.outcome in {"failed", "hung"}]
    again: dict[str, Result] = {}
    if failed:  # once more, alone: failures of a busy machine do not count
        run_once(python, package, name, excluded, failed, again, verbose=verbose)
    results.update({test: result for test, result in again.items() if result.outcome == "passed"})
    return list(results.values())


def run_once(  # noqa: PLR0913 - the run, and the results so far
    python: Path,
    package: Path,
    name: str,
    excluded: list[dict[str, str]],
    tests: list[str],
    results: dict[str, Result],
    *,
    verbose: bool,
) -> bool:
    """Run pytest and add to *results*; return False if its process exited before the end."""
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
    if os.geteuid() == 0:  # root ignores permissions
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
    """Print tables of the outcomes and the exclusions, and each failure."""
    counts = collections.Counter((result.configuration, kind_of(result)) for result in results)
    print(f"{'configuration':<16}{'passed':>8}{'failed':>8}{'skipped':>9}")
    for name in [name for name in CONFIGURATIONS if any(result.configuration == name for result in results)]:
        print(f"{name:<16}" + "".join(f"{counts[name, kind]:>{w}}" for kind, w in KINDS.items()))
    totals = collections.Counter(kind_of(result) for result in results)
    print(f"{'all':<16}" + "".join(f"{totals[kind]:>{w}}" for kind, w in KINDS.items()))
    print(f"\nExcluded, by {len(excluded)} rules:")
    for reason, number in collections.Counter(rule["why"] for rule in excluded).most_common():
        print(f"{number:>4}  {reason}")
    for result in results:
        if kind_of(result) == "failed":
            print(f"\nFAILED {result.name}\n    {result.why}")


KINDS = {"passed": 8, "failed": 8, "skipped": 9}
"""Outcomes and the widths of their columns."""


def kind_of(result: Result) -> str:
    """Outcome, with "hung" counted as failed."""
    return "failed" if result.outcome == "hung" else result.outcome


def judge(results: list[Result], *, whole: bool, update: bool) -> int:
    """Return the exit code: 1 when too few tests pass, or one fails that passed before."""
    failed = [result for result in results if kind_of(result) == "failed"]
    good = [result for result in results if result.outcome == "passed"]
    passed = {result.name for result in good} - {result.name for result in failed}
    before = set((HERE / "passed.txt").read_text(encoding="utf-8").splitlines())
    lost = sorted(before - passed if whole else before & {result.name for result in failed})
    share = len(good) / max(1, len(good) + len(failed))
    print(f"\n{len(good)} of {len(good) + len(failed)} passed, {share:.1%}; the aim is {AIM:.0%}.")
    if update and whole:
        (HERE / "passed.txt").write_text("".join(f"{name}\n" for name in sorted(passed)), encoding="utf-8")
        return 0
    for name in lost:
        print(f"Passed before, and does not pass now: {name}")
    return 1 if lost or not results or (whole and share < AIM) else 0


if __name__ == "__main__":
    sys.exit(main())

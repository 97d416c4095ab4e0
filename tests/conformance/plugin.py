"""Loaded by pytest before anything of Parsl's tests: ``parsl`` becomes cnflow; each test's outcome is written down."""

from __future__ import annotations

import faulthandler
import fnmatch
import json
import os
from pathlib import Path

import pytest

import cnflow.compat.parsl  # noqa: F401 - its import is what is tested

RESULTS = Path(os.environ["CONFORMANCE_RESULTS"])
LIMIT = float(os.environ["CONFORMANCE_LIMIT"])
"""Seconds for one test."""

LEFT_OUT = json.loads(os.environ["CONFORMANCE_LEFT_OUT"])
"""Globs of files and of ids of tests."""


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import files that are left out; Parsl's own conftest would take all of them."""
    return True if _is_left_out(collection_path.relative_to(config.rootpath).as_posix()) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out single tests."""
    items[:] = [item for item in items if not _is_left_out(item.nodeid)]


def _is_left_out(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """End the whole process when a test hangs, after that is written down; the caller goes on with the others."""
    _note(item.nodeid, "hung", f"no end within {LIMIT:g} s")
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One line for each phase that decides; the last line about a test holds, but for a failure, which stays."""
    if report.failed:
        _note(report.nodeid, "failed", f"{report.when}: {_last_line(report)}")
    elif report.skipped:
        _note(report.nodeid, "skipped", str(report.longrepr[2] if isinstance(report.longrepr, tuple) else ""))
    elif report.when == "call":
        _note(report.nodeid, "passed", "")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported is a failure of that file."""
    if report.failed:
        _note(report.nodeid, "failed", f"import: {_last_line(report)}")


def _last_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    lines = str(report.longrepr).strip().splitlines()
    errors = [line for line in lines if line.startswith("E  ")]
    return (errors or lines or [""])[-1].strip()


def _note(test: str, outcome: str, why: str) -> None:
    with RESULTS.open("a", encoding="utf-8") as results:
        results.write(json.dumps([test, outcome, why[:300]]) + "\n")

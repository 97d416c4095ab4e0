"""Pytest plugin for Parsl's tests: makes ``parsl`` cnflow before they are imported, and records each test's outcome."""

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
"""Longest time for one test, in seconds."""

LEFT_OUT = json.loads(os.environ["CONFORMANCE_LEFT_OUT"])
"""Globs of files and of tests' ids."""


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip excluded files before they are imported; Parsl's own conftest collects all files."""
    return True if _is_left_out(collection_path.relative_to(config.rootpath).as_posix()) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Remove excluded tests."""
    items[:] = [item for item in items if not _is_left_out(item.nodeid)]


def _is_left_out(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """Exit the process when a test hangs; its outcome is recorded beforehand, and the caller runs the other tests."""
    _record(item.nodeid, "hung", f"no end within {LIMIT:g} s")
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record a line for each deciding phase; the last line of a test counts, unless an earlier one is a failure."""
    if report.failed:
        _record(report.nodeid, "failed", f"{report.when}: {_last_line(report)}")
    elif report.skipped:
        _record(report.nodeid, "skipped", str(report.longrepr[2] if isinstance(report.longrepr, tuple) else ""))
    elif report.when == "call":
        _record(report.nodeid, "passed", "")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Record a file that cannot be imported as failed."""
    if report.failed:
        _record(report.nodeid, "failed", f"import: {_last_line(report)}")


def _last_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    lines = str(report.longrepr).strip().splitlines()
    errors = [line for line in lines if line.startswith("E  ")]
    return (errors or lines or [""])[-1].strip()


def _record(test: str, outcome: str, why: str) -> None:
    with RESULTS.open("a", encoding="utf-8") as results:
        results.write(json.dumps([test, outcome, why[:300]]) + "\n")

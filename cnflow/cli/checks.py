"""What `cnflow doctor` looks at. Each check looks at one thing and says what it found and what to do about it."""

from __future__ import annotations

import importlib.util
import platform
import sys

from cnflow import __version__
from cnflow.addresses import addresses_of_this_machine
from cnflow.cli.dependencies import Installed, installed_by_extra
from cnflow.cli.engine import default_engine
from cnflow.errors import BlockError, MissingExtraError
from cnflow.model.finding import Finding, Verdict

OLDEST_PYTHON = (3, 10)


def examine() -> list[Finding]:
    """Every check; asks the Docker engine, and nothing else outside this process."""
    installed = installed_by_extra()
    return [
        python_finding(sys.version_info[:2]),
        *package_findings(installed.get("", [])),
        *engine_findings(),
        pip_finding(),
        *(extra_finding(extra, parts) for extra, parts in sorted(installed.items()) if extra),
    ]


def local_runs_work(findings: list[Finding]) -> bool:
    """Whether threads and local worker processes can be expected to work."""
    return all(finding.verdict is not Verdict.BAD for finding in findings)


def python_finding(version: tuple[int, int]) -> Finding:
    """The interpreter that runs cnflow, of which *version* is the one that is judged."""
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    if version >= OLDEST_PYTHON:
        return Finding("Python", Verdict.GOOD, found)
    return Finding("Python", Verdict.BAD, found, "Use Python 3.10 or newer.")


def package_findings(parts: list[Installed]) -> list[Finding]:
    """What cnflow always needs: one line when all is there, and one for each package that is not."""
    wrong = [
        Finding("package", Verdict.BAD, str(p), "Run: pip install --upgrade cnflow")
        for p in parts
        if not p.is_sufficient
    ]
    fine = ", ".join(str(part) for part in parts if part.is_sufficient)
    return [Finding("cnflow", Verdict.GOOD, f"{__version__} with {fine}"), *wrong]


def engine_findings() -> list[Finding]:
    """Whether the default Docker engine can be used, and what addresses workers in it and here could connect to."""
    try:
        engine = default_engine()
    except MissingExtraError:
        found = "not known: the package docker, through which cnflow speaks to one, is not installed"
        return [
            Finding("Docker engine", Verdict.ABSENT, found, "Run: pip install 'cnflow[docker]'"),
            addresses_finding([]),
        ]
    except BlockError as error:
        found, _, advice = str(error).partition("\n")
        return [Finding("Docker engine", Verdict.ABSENT, found, advice), addresses_finding([])]
    good = Finding("Docker engine", Verdict.GOOD, f"version {engine.version} answers")
    return [good, addresses_finding(engine.hosts)]


def addresses_finding(from_containers: list[str]) -> Finding:
    """Where workers could connect to, by the engine's account and by this machine's own."""
    here = [address for address in addresses_of_this_machine() if address not in from_containers]
    found = ", ".join([*(f"{address} (from containers)" for address in from_containers), *here])
    return Finding("addresses", Verdict.GOOD, found)


def pip_finding() -> Finding:
    """Whether capsules can be built: their packages are gathered by pip."""
    if importlib.util.find_spec("pip"):
        return Finding("pip", Verdict.GOOD, "available, so capsules for images can be built")
    advice = "Run: python -m ensurepip. Images that already hold a capsule, and local runs, work as it is."
    return Finding("pip", Verdict.ABSENT, "not installed in this Python; capsules for images cannot be built", advice)


def extra_finding(extra: str, parts: list[Installed]) -> Finding:
    """Whether what *extra* stands for is installed."""
    if all(part.is_sufficient for part in parts):
        return Finding(f"extra {extra}", Verdict.GOOD, ", ".join(map(str, parts)))
    missing = ", ".join(str(part) for part in parts if not part.is_sufficient)
    return Finding(f"extra {extra}", Verdict.ABSENT, missing, f"Run: pip install 'cnflow[{extra}]'")

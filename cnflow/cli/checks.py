"""Checks of `cnflow doctor`: each returns findings about one thing, with advice.

The checks of a provider are its own (`Provider.check`), so that this module names no system.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from cnflow import __version__
from cnflow.addresses import addresses_of_this_machine
from cnflow.cli.dependencies import Installed, installed_by_extra
from cnflow.config.registry import ALL, PROVIDERS, backend_of
from cnflow.errors import ConfigurationError
from cnflow.model.finding import Finding, Verdict

if TYPE_CHECKING:
    from cnflow.interfaces import Provider

OLDEST_PYTHON = (3, 10)
LOCAL = "local"
"""Kind of the provider that runs workers as processes of this machine."""


def examine() -> list[Finding]:
    """Run every check; providers ask their systems, such as a Docker engine."""
    installed = installed_by_extra()
    return [
        python_finding(sys.version_info[:2]),
        *package_findings(installed.get("", [])),
        *provider_findings(),
        *clash_findings(),
        addresses_finding(),
        pip_finding(),
        *(extra_finding(extra, parts) for extra, parts in sorted(installed.items()) if extra),
    ]


def local_runs_work(findings: list[Finding]) -> bool:
    """Return True if threads and local worker processes can be expected to work."""
    return all(finding.verdict is not Verdict.BAD for finding in findings)


def python_finding(version: tuple[int, int]) -> Finding:
    """Judge the *version* of the interpreter that runs cnflow."""
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    if version >= OLDEST_PYTHON:
        return Finding("Python", Verdict.GOOD, found)
    return Finding("Python", Verdict.BAD, found, "Use Python 3.10 or newer.")


def package_findings(parts: list[Installed]) -> list[Finding]:
    """Judge the packages that cnflow always needs: one line for those that fit, and one for each that does not."""
    wrong = [
        Finding("package", Verdict.BAD, str(p), f"Run: pip install '{p.requirement.name}>={p.requirement.minimum}'")
        for p in parts
        if not p.is_sufficient
    ]
    fine = ", ".join(str(part) for part in parts if part.is_sufficient)
    return [Finding("cnflow", Verdict.GOOD, f"{__version__} with {fine}"), *wrong]


def provider_findings() -> list[Finding]:
    """Findings of every provider that works without options; another installed package's too."""
    kinds = [kind for kind in PROVIDERS.kinds() if not _needs_options(kind)]
    return [finding for kind in kinds for finding in findings_of(kind)]


def _needs_options(kind: str) -> bool:
    """Return whether a built-in provider is checked by ``cnflow config check`` alone: it is nothing without a host."""
    is_built_in = kind in PROVIDERS.built_in
    return is_built_in and any(field.is_required() for field in PROVIDERS.find(kind).model_fields.values())


def findings_of(kind: str) -> list[Finding]:
    """Findings of the provider *kind*; if it cannot be made or checked, one with the reason and the package at fault.

    Local runs need the provider ``local`` alone, so that the verdict on another one is at worst `Verdict.ABSENT`.
    """
    try:
        return _check(kind)
    except ConfigurationError as error:
        return [_failure(kind, str(error))]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - another package's code raises anything
        return [_failure(kind, f"The check raises {type(error).__name__}: {error}")]


def _check(kind: str) -> list[Finding]:
    settings = PROVIDERS.find(kind)(kind=kind)
    provider: Provider = backend_of(settings, needs_packages=False)(settings)
    try:
        return [replace(each, verdict=_verdict_on(kind, each.verdict)) for each in provider.check()]
    finally:
        provider.close()


def _verdict_on(kind: str, verdict: Verdict) -> Verdict:
    return Verdict.ABSENT if verdict is Verdict.BAD and kind != LOCAL else verdict


def _failure(kind: str, found: str) -> Finding:
    plugin = PROVIDERS.plugin(kind)
    advice = ""
    if plugin and plugin.packages not in found:
        advice = f"The kind is registered by {plugin.packages}: upgrade or remove it."
    return Finding(f"provider {kind}", _verdict_on(kind, Verdict.BAD), found, advice)


def clash_findings() -> list[Finding]:
    """One finding for each kind of an installed package that is not used because a built-in one has its name."""
    errors = [(registry.noun, error) for registry in ALL for error in registry.clashes()]
    return [Finding(f"{noun} kinds", Verdict.ABSENT, str(error)) for noun, error in errors]


def addresses_finding() -> Finding:
    """Addresses of this machine, at which workers could connect to it."""
    return Finding("addresses", Verdict.GOOD, ", ".join(addresses_of_this_machine()))


def pip_finding() -> Finding:
    """Judge whether capsules can be built: their packages are downloaded by pip."""
    if importlib.util.find_spec("pip"):
        return Finding("pip", Verdict.GOOD, "available, so capsules for images can be built")
    advice = "Run: python -m ensurepip. Images that already hold a capsule, and local runs, work as it is."
    return Finding("pip", Verdict.ABSENT, "not installed in this Python; capsules for images cannot be built", advice)


def extra_finding(extra: str, parts: list[Installed]) -> Finding:
    """Judge the packages of *extra*."""
    if all(part.is_sufficient for part in parts):
        return Finding(f"extra {extra}", Verdict.GOOD, ", ".join(map(str, parts)))
    missing = ", ".join(str(part) for part in parts if not part.is_sufficient)
    return Finding(f"extra {extra}", Verdict.ABSENT, missing, f"Run: pip install 'cnflow[{extra}]'")
